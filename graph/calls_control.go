package graph

import "switchboard/internal/call"

// billed is what there is to know about a call that was just changed; nothing for none.
func billed(c *call.Call) []*call.Notice {
	if c == nil {
		return []*call.Notice{}
	}
	return c.Notices()
}
