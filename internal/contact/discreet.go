package contact

import (
	"strings"

	"switchboard/internal/access"
)

// NameFor is the name as the actor may read it (R241): who called and whom nobody
// knows yet is called by a number, and that is hidden like any other.
func (c *Contact) NameFor(who access.Actor) string { return HideName(who, c.Name) }

// EmailFor is the e-mail as the actor may read it (R241).
func (c *Contact) EmailFor(who access.Actor) *string { return detail(who, c.Email) }

// LocationFor is where they are, as the actor may read it (R241).
func (c *Contact) LocationFor(who access.Actor) *string { return detail(who, c.Location) }

// For is the contact as the actor may read it: itself, or a copy without its details (R241).
func (c *Contact) For(who access.Actor) *Contact {
	if c == nil || !who.HidesContactDetails() {
		return c
	}
	out := *c
	out.Name, out.Email, out.Location = c.NameFor(who), nil, nil
	return &out
}

func detail(who access.Actor, s *string) *string {
	if who.HidesContactDetails() {
		return nil
	}
	return s
}

// HideName is a contact's name as the actor may read it: not a number.
func HideName(who access.Actor, name string) string {
	if who.HidesContactDetails() && isNumber(name) {
		return "Unknown"
	}
	return name
}

// NamedFor is SQL that leaves out contacts c whose names are numbers, where the
// actor may not find any by them (R241); "" otherwise.
func NamedFor(who access.Actor) string {
	if !who.HidesContactDetails() {
		return ""
	}
	return ` AND c.name !~ '^[ +()./0-9\u00a0-]{5,}$'`
}

// isNumber reports whether a text is a phone number rather than a name.
func isNumber(text string) bool {
	digits := 0
	for _, r := range text {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case !strings.ContainsRune(" +-()./\u00a0", r):
			return false
		}
	}
	return digits >= 4
}

// foundByNumber is SQL that leaves out contacts c whose numbers the actor, $2 where
// they see only their own, may not find them by.
func foundByNumber(who access.Actor) string {
	switch {
	case who.HidesContactDetails():
		return ` AND false`
	case seesOwnOnly(who):
		return unmasked
	}
	return ""
}

// Hidden is SQL that is true of contacts c whose numbers the actor does not see,
// where user is the place of the actor's id in the query; "" when that is nobody.
func Hidden(who access.Actor, user string) string {
	switch {
	case who.HidesContactDetails():
		return "true"
	case seesOwnOnly(who):
		return "NOT (true" + strings.ReplaceAll(unmasked, "$2", user) + ")"
	}
	return ""
}
