package sheet

// Encoding is how the text of a file is written.
type Encoding string

// How the text of a file is written.
const (
	UTF8  Encoding = "UTF8"
	UTF16 Encoding = "UTF16"
)
