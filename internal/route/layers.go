package route

import (
	"strconv"

	"switchboard/internal/id"
	"switchboard/internal/phone"
)

// layer is one of the four, highest first (R031-R034).
type layer struct {
	number int
	rule   string
	// target is what the layer rings; applies says whether its condition holds,
	// why is what is said when it holds and the target cannot be rung (D05).
	target  Target
	applies bool
	detail  string
	broken  string
}

// layers is the truth table of R031-R036: the highest layer that applies wins.
// A layer whose phone cannot be rung falls to the next one, and the trace says
// why (D05). Do-not-disturb, role and devices do not count here (D20).
func (x *decider) layers(lead *Contact) *Target {
	var won *layer
	for _, l := range []layer{x.layer4(), x.layer3(lead), x.layer2(), x.layer1()} {
		switch {
		case won != nil:
			x.note(l.rule, NotApplicable, id.ID{}, "layer ", strconv.Itoa(won.number), " decided")
		case !l.applies:
			x.note(l.rule, NotApplicable, id.ID{}, l.detail)
		case l.broken != "":
			x.note(l.rule, Skipped, l.target.UserID, l.broken, "; the next layer is taken")
		default:
			x.note(l.rule, Chosen, l.target.UserID, l.detail)
			won = &l
		}
	}
	if won == nil {
		x.note("LAYERS", Skipped, id.ID{}, "no layer has a phone that can be rung")
		return nil
	}
	x.d.Layer = &won.number
	won.target.Screen = x.s.Number.Screen
	return &won.target
}

func (x *decider) layer4() layer {
	l := layer{number: 4, rule: "LAYER_4_NUMBER_USER", detail: "the number is assigned to no user"}
	if u := x.s.Number.AssignedUserID; !u.IsZero() {
		x.ringPhone(&l, u, "the number is assigned to ")
	}
	return l
}

// layer3 is the lead's own user before its campaign's (D04).
func (x *decider) layer3(c *Contact) layer {
	l := layer{number: 3, rule: "LAYER_3_LEAD_OWNER", detail: "the caller is no lead"}
	if c == nil {
		return l
	}
	if !c.AssignedUserID.IsZero() {
		x.ringPhone(&l, c.AssignedUserID, "the lead is assigned to ")
		return l
	}
	if k := c.lastCampaign(func(k Campaign) bool { return !k.AssignedUserID.IsZero() }); k != nil {
		l.rule = "LAYER_3_CAMPAIGN_USER"
		x.ringPhone(&l, k.AssignedUserID, "the lead is in a campaign of ")
		return l
	}
	l.detail = "the lead is assigned to no user and in no campaign of a user"
	return l
}

func (x *decider) layer2() layer {
	l := layer{number: 2, rule: "LAYER_2_CALL_FORWARDING", detail: "the default number has no call forwarding number"}
	if f := x.s.CallForwardingNumber; f != "" {
		l.applies = true
		l.target = Target{Kind: ForwardPhone, Address: f}
		l.detail = "the call forwarding number of the default number, " + phone.Mask(phone.E164(f))
		if !usable(f, x.s.Number.E164) {
			l.broken = "the call forwarding number cannot be rung"
		}
	}
	return l
}

func (x *decider) layer1() layer {
	l := layer{number: 1, rule: "LAYER_1_COMPANY_PHONE", applies: true}
	p := x.s.CompanyPhone
	l.target = Target{Kind: CompanyPhone, Address: p}
	l.detail = "the Company Phone, " + phone.Mask(phone.E164(p))
	switch {
	case p == "":
		l.broken = "the organization has no Company Phone"
	case !usable(p, x.s.Number.E164):
		l.broken = "the Company Phone cannot be rung"
	}
	return l
}

// ringPhone makes the layer ring a user's primary phone (R040, R288).
func (x *decider) ringPhone(l *layer, user id.ID, detail string) {
	l.applies = true
	l.target = Target{Kind: UserPhone, UserID: user}
	p := x.person(user)
	if p == nil {
		l.broken = "its user does not exist"
		return
	}
	l.target.Address = p.Phone
	l.detail = detail + p.Name
	switch {
	case !p.Active:
		l.broken = l.detail + ", who is not an active user"
	case p.Phone == "":
		l.broken = l.detail + ", who has no phone"
	case !usable(p.Phone, x.s.Number.E164):
		l.broken = l.detail + ", whose phone cannot be rung"
	}
}
