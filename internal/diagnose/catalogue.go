package diagnose

// Title is what is looked at, in a few words.
func (c Code) Title() string { return string(c) }
