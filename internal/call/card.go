package call

// IsSaved reports whether the call is linked to a contact or a record, or somebody
// noted what came of it (R182).
func (c *Call) IsSaved() bool {
	return !c.ContactID.IsZero() || !c.RecordID.IsZero() || c.Outcome != nil || c.Notes != nil
}
