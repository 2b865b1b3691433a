package twilio

import (
	"context"

	v2010 "github.com/twilio/twilio-go/rest/api/v2010"
)

// SIPDomain is a SIP domain of the account (twilio.com/docs/voice/api/sip-domain-resource).
type SIPDomain struct {
	SID, Name, FriendlyName        string
	Registration                   bool // phones may register
	VoiceURL, VoiceMethod          string
	StatusCallback, CallbackMethod string
	CallLists, RegistrationLists   int // credential lists that are mapped; see Mapped
}

func sipDomain(d *v2010.ApiV2010SipDomain) SIPDomain {
	return SIPDomain{
		SID: str(d.Sid), Name: str(d.DomainName), FriendlyName: str(d.FriendlyName), Registration: d.SipRegistration != nil && *d.SipRegistration,
		VoiceURL: str(d.VoiceUrl), VoiceMethod: str(d.VoiceMethod), StatusCallback: str(d.VoiceStatusCallbackUrl), CallbackMethod: str(d.VoiceStatusCallbackMethod),
	}
}

// ListSIPDomains are the SIP domains of the account, without what is mapped to them.
func (c *Client) ListSIPDomains(ctx context.Context) (out []SIPDomain, err error) {
	err = pages(func(token, page string) (*string, error) {
		p, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListSipDomainResponse, error) {
			return s.PageSipDomain(&v2010.ListSipDomainParams{PageSize: set(pageSize)}, token, page)
		})
		if err != nil {
			return nil, err
		}
		for i := range p.Domains {
			out = append(out, sipDomain(&p.Domains[i]))
		}
		return p.NextPageUri, nil
	})
	return out, err
}

// FetchSIPDomain reads one SIP domain, without what is mapped to it.
func (c *Client) FetchSIPDomain(ctx context.Context, sid string) (SIPDomain, error) {
	if err := CheckSID(SIPDomainSID, sid); err != nil {
		return SIPDomain{}, err
	}
	d, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010SipDomain, error) { return s.FetchSipDomain(sid, nil) })
	if err != nil {
		return SIPDomain{}, err
	}
	return sipDomain(d), nil
}

// Mapped counts the lists that let phones call through the domain and register at
// it: the two are mapped apart. One page says whether there are any.
func (c *Client) Mapped(ctx context.Context, d SIPDomain) (SIPDomain, error) {
	if err := CheckSID(SIPDomainSID, d.SID); err != nil {
		return d, err
	}
	calls, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListSipAuthCallsCredentialListMappingResponse, error) {
		return s.PageSipAuthCallsCredentialListMapping(d.SID, &v2010.ListSipAuthCallsCredentialListMappingParams{PageSize: set(pageSize)}, "", "")
	})
	if err != nil {
		return d, err
	}
	registrations, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ListSipAuthRegistrationsCredentialListMappingResponse, error) {
		return s.PageSipAuthRegistrationsCredentialListMapping(d.SID, &v2010.ListSipAuthRegistrationsCredentialListMappingParams{PageSize: set(pageSize)}, "", "")
	})
	if err != nil {
		return d, err
	}
	d.CallLists, d.RegistrationLists = len(calls.Contents), len(registrations.Contents)
	return d, nil
}

// SetSIPDomainHooks says where calls through the domain and news of them go; empty
// addresses are none.
func (c *Client) SetSIPDomainHooks(ctx context.Context, sid, voiceURL, statusCallback string) (SIPDomain, error) {
	if err := CheckSID(SIPDomainSID, sid); err != nil {
		return SIPDomain{}, err
	}
	post := "POST"
	d, err := send(ctx, c, func(s *v2010.ApiService) (*v2010.ApiV2010SipDomain, error) {
		return s.UpdateSipDomain(sid, &v2010.UpdateSipDomainParams{VoiceUrl: &voiceURL, VoiceMethod: &post, VoiceStatusCallbackUrl: &statusCallback, VoiceStatusCallbackMethod: &post})
	})
	if err != nil {
		return SIPDomain{}, err
	}
	return sipDomain(d), nil
}
