package audit

import "strings"

// Actions are the acts that people can look for, sorted by name.
func Actions() []Action { return known }

var known []Action

// Words is the deed as a sentence without its actor.
func (e Entry) Words() string { return strings.ReplaceAll(e.Action, ".", " ") }

// IsAccess reports whether the deed was an access to what is private and not a change.
func (e Entry) IsAccess() bool { return false }
