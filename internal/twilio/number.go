package twilio

import (
	"context"
	"strings"

	v2010 "github.com/twilio/twilio-go/rest/api/v2010"

	"switchboard/internal/errs"
)

// PhoneNumber is a number of the account, as Twilio has it.
type PhoneNumber struct {
	SID, AccountSID    string
	E164, Name         string
	Voice, SMS, MMS    bool
	Origin, Status     string
	Type               string
	EmergencyStatus    string
	EmergencyAddress   string // SID
	AddressRequirement string
	Settings           NumberSettings
}

// NumberSettings is where Twilio sends what reaches a number. TrunkSID beats
// VoiceApplicationSID, which beats VoiceURL; SMSApplicationSID beats SMSURL.
type NumberSettings struct {
	VoiceURL             string `json:"voiceUrl"`
	VoiceMethod          string `json:"voiceMethod"`
	VoiceFallbackURL     string `json:"voiceFallbackUrl"`
	VoiceFallbackMethod  string `json:"voiceFallbackMethod"`
	VoiceApplicationSID  string `json:"voiceApplicationSid"`
	VoiceReceiveMode     string `json:"voiceReceiveMode"`
	TrunkSID             string `json:"trunkSid"`
	StatusCallback       string `json:"statusCallback"`
	StatusCallbackMethod string `json:"statusCallbackMethod"`
	SMSURL               string `json:"smsUrl"`
	SMSMethod            string `json:"smsMethod"`
	SMSFallbackURL       string `json:"smsFallbackUrl"`
	SMSFallbackMethod    string `json:"smsFallbackMethod"`
	SMSApplicationSID    string `json:"smsApplicationSid"`
}

func phoneNumber(n *v2010.ApiV2010IncomingPhoneNumber) PhoneNumber {
	p := PhoneNumber{
		SID: str(n.Sid), AccountSID: str(n.AccountSid), E164: str(n.PhoneNumber), Name: str(n.FriendlyName),
		Origin: str(n.Origin), Status: str(n.Status), Type: str(n.Type), EmergencyStatus: str(n.EmergencyStatus),
		EmergencyAddress: str(n.EmergencyAddressSid), AddressRequirement: str(n.AddressRequirements),
		Settings: NumberSettings{
			VoiceURL: str(n.VoiceUrl), VoiceMethod: str(n.VoiceMethod), VoiceFallbackURL: str(n.VoiceFallbackUrl),
			VoiceFallbackMethod: str(n.VoiceFallbackMethod), VoiceApplicationSID: str(n.VoiceApplicationSid),
			VoiceReceiveMode: str(n.VoiceReceiveMode), TrunkSID: str(n.TrunkSid), StatusCallback: str(n.StatusCallback),
			StatusCallbackMethod: str(n.StatusCallbackMethod), SMSURL: str(n.SmsUrl), SMSMethod: str(n.SmsMethod),
			SMSFallbackURL: str(n.SmsFallbackUrl), SMSFallbackMethod: str(n.SmsFallbackMethod), SMSApplicationSID: str(n.SmsApplicationSid),
		},
	}
	if c := n.Capabilities; c != nil {
		p.Voice, p.SMS, p.MMS = c.Voice, c.Sms, c.Mms
	}
	return p
}

// ListNumbers gives the numbers of the account page by page; an error of fn ends it.
func (c *Client) ListNumbers(ctx context.Context, fn func([]PhoneNumber) error) error {
	return c.listNumbers(ctx, "", fn)
}

func (c *Client) listNumbers(ctx context.Context, e164 string, fn func([]PhoneNumber) error) error {
	return pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListIncomingPhoneNumberResponse, error) {
			return s.PageIncomingPhoneNumber(&v2010.ListIncomingPhoneNumberParams{PhoneNumber: set(e164), PageSize: set(pageSize)}, token, page)
		})
		if err != nil {
			return nil, err
		}
		some := make([]PhoneNumber, 0, len(p.IncomingPhoneNumbers))
		for i := range p.IncomingPhoneNumbers {
			some = append(some, phoneNumber(&p.IncomingPhoneNumbers[i]))
		}
		if err := fn(some); err != nil {
			return nil, err
		}
		return p.NextPageUri, nil
	})
}

// FetchNumber reads one number.
func (c *Client) FetchNumber(ctx context.Context, sid string) (PhoneNumber, error) {
	if err := CheckSID(PhoneNumberSID, sid); err != nil {
		return PhoneNumber{}, err
	}
	n, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010IncomingPhoneNumber, error) {
		return s.FetchIncomingPhoneNumber(sid, nil)
	})
	if err != nil {
		return PhoneNumber{}, err
	}
	return phoneNumber(n), nil
}

// FindNumber finds the number by what it dials; ok is false when the account has none such.
func (c *Client) FindNumber(ctx context.Context, e164 string) (n PhoneNumber, ok bool, err error) {
	if e164 == "" || strings.ContainsAny(e164, "*") { // Twilio takes a * as "anything"
		return PhoneNumber{}, false, errs.New(errs.Invalid, "enter a phone number, such as +61255501234")
	}
	err = c.listNumbers(ctx, e164, func(some []PhoneNumber) error {
		for _, x := range some {
			if x.E164 == e164 {
				n, ok = x, true
				return errStop
			}
		}
		return nil
	})
	return n, ok, err
}

// UpdateNumber writes all settings of a number, clearing what is empty (methods
// stay), and returns the number as read back afterwards.
func (c *Client) UpdateNumber(ctx context.Context, sid string, s NumberSettings) (PhoneNumber, error) {
	if err := CheckSID(PhoneNumberSID, sid); err != nil {
		return PhoneNumber{}, err
	}
	p := &v2010.UpdateIncomingPhoneNumberParams{
		VoiceUrl: &s.VoiceURL, VoiceMethod: set(s.VoiceMethod), VoiceFallbackUrl: &s.VoiceFallbackURL,
		VoiceFallbackMethod: set(s.VoiceFallbackMethod), VoiceReceiveMode: set(s.VoiceReceiveMode),
		StatusCallback: &s.StatusCallback, StatusCallbackMethod: set(s.StatusCallbackMethod),
		SmsUrl: &s.SMSURL, SmsMethod: set(s.SMSMethod), SmsFallbackUrl: &s.SMSFallbackURL,
		SmsFallbackMethod: set(s.SMSFallbackMethod), SmsApplicationSid: &s.SMSApplicationSID,
		VoiceApplicationSid: &s.VoiceApplicationSID, TrunkSid: &s.TrunkSID,
	}
	// Setting one of the two deletes the other: send the one that is wanted alone.
	switch {
	case s.TrunkSID != "":
		p.VoiceApplicationSid = nil
	case s.VoiceApplicationSID != "":
		p.TrunkSid = nil
	}
	_, err := send(ctx, c, func(api *v2010.ApiService) (*v2010.ApiV2010IncomingPhoneNumber, error) {
		return api.UpdateIncomingPhoneNumber(sid, p)
	})
	if err != nil {
		return PhoneNumber{}, err
	}
	return c.FetchNumber(ctx, sid)
}
