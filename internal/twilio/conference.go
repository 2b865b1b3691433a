package twilio

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v2010 "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/errs"
)

// Conference is a room as Twilio has it.
type Conference struct {
	SID, Name string
	Status    string // init, in-progress, completed
	CreatedAt time.Time
}

// Participant is a call in a room. Who has left is not listed.
type Participant struct {
	CallSID, Label     string
	Status             string // queued, connecting, ringing, connected, complete, failed
	Muted, Hold, Coach bool
	CoachedCallSID     string
}

func conferenceOf(x *v2010.ApiV2010Conference) Conference {
	return Conference{SID: str(x.Sid), Name: str(x.FriendlyName), Status: str(x.Status), CreatedAt: when(x.DateCreated)}
}

func participantOf(x *v2010.ApiV2010Participant) Participant {
	yes := func(b *bool) bool { return b != nil && *b }
	return Participant{CallSID: str(x.CallSid), Label: str(x.Label), Status: str(x.Status), Muted: yes(x.Muted), Hold: yes(x.Hold),
		Coach: yes(x.Coaching), CoachedCallSID: str(x.CallSidToCoach)}
}

// FetchConference reads one room.
func (c *Client) FetchConference(ctx context.Context, sid string) (Conference, error) {
	if err := CheckSID(ConferenceSID, sid); err != nil {
		return Conference{}, err
	}
	x, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Conference, error) { return s.FetchConference(sid, nil) })
	if err != nil {
		return Conference{}, err
	}
	return conferenceOf(x), nil
}

// ListConferences lists the rooms of a name, newest first; status "" is all of them.
func (c *Client) ListConferences(ctx context.Context, name, status string) (rooms []Conference, err error) {
	params := &v2010.ListConferenceParams{FriendlyName: &name, Status: set(status), PageSize: set(pageSize)}
	err = pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListConferenceResponse, error) {
			return s.PageConference(params, token, page)
		})
		if err != nil {
			return nil, err
		}
		for i := range p.Conferences {
			rooms = append(rooms, conferenceOf(&p.Conferences[i]))
		}
		return p.NextPageUri, nil
	})
	return rooms, err
}

// ListParticipants lists who is in a room.
func (c *Client) ListParticipants(ctx context.Context, room string) (list []Participant, err error) {
	if err := CheckSID(ConferenceSID, room); err != nil {
		return nil, err
	}
	params := &v2010.ListParticipantParams{PageSize: set(pageSize)}
	err = pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListParticipantResponse, error) {
			return s.PageParticipant(room, params, token, page)
		})
		if err != nil {
			return nil, err
		}
		for i := range p.Participants {
			list = append(list, participantOf(&p.Participants[i]))
		}
		return p.NextPageUri, nil
	})
	return list, err
}

// ParticipantUpdate changes a party of a room; nil keeps.
type ParticipantUpdate struct {
	Hold    *bool
	HoldURL string // TwiML that is heard on hold; "" is Twilio's own music
	Muted   *bool
	Coach   *string // the SID of the call that alone hears it; "" ends that
}

// UpdateParticipant changes a party of a room, named by its call. It may be sent again.
func (c *Client) UpdateParticipant(ctx context.Context, room, callSID string, u ParticipantUpdate) (Participant, error) {
	if err := firstOf(CheckSID(ConferenceSID, room), CheckSID(CallSID, callSID)); err != nil {
		return Participant{}, err
	}
	form := url.Values{}
	if u.Hold != nil {
		form.Set("Hold", strconv.FormatBool(*u.Hold))
		if *u.Hold && u.HoldURL != "" {
			form.Set("HoldUrl", u.HoldURL)
			form.Set("HoldMethod", http.MethodPost) // Twilio would take GET
		}
	}
	if u.Muted != nil {
		form.Set("Muted", strconv.FormatBool(*u.Muted))
	}
	if u.Coach != nil {
		form.Set("Coaching", strconv.FormatBool(*u.Coach != ""))
		if *u.Coach != "" {
			if err := CheckSID(CallSID, *u.Coach); err != nil {
				return Participant{}, err
			}
			form.Set("CallSidToCoach", *u.Coach)
		}
	}
	if len(form) == 0 {
		return Participant{}, errs.New(errs.Invalid, "nothing of the participant changes")
	}
	var x v2010.ApiV2010Participant
	err := c.raw(ctx, http.MethodPost, c.path("Conferences", room, "Participants", callSID+".json"), form, &x)
	return participantOf(&x), err
}

// RemoveParticipant takes a party out of a room and hangs it up; one that is gone is fine.
func (c *Client) RemoveParticipant(ctx context.Context, room, callSID string) error {
	if err := CheckSID(CallSID, callSID); err != nil {
		return err
	}
	return c.delete(ctx, ConferenceSID, room, func(s *v2010.ApiService) error { return s.DeleteParticipant(room, callSID, nil) })
}

// EndConference ends a room: everybody in it is hung up.
func (c *Client) EndConference(ctx context.Context, room string) error {
	if err := CheckSID(ConferenceSID, room); err != nil {
		return err
	}
	_, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010Conference, error) {
		return s.UpdateConference(room, &v2010.UpdateConferenceParams{Status: set("completed")})
	})
	if NotFound(err) {
		return nil
	}
	return err
}
