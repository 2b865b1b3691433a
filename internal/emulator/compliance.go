package emulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// registration10DLC is a brand, a campaign or a toll-free verification: a SID and how far
// it has come.
type registration10DLC struct {
	sid, status string
	created     time.Time
}

// How far a registration has come. A campaign is one of the first three, a toll-free
// verification one of the last four; "" is none at all.
const (
	CampaignVerified   = "VERIFIED"
	CampaignInProgress = "IN_PROGRESS"
	CampaignFailed     = "FAILED"

	TollFreeApproved = "TWILIO_APPROVED"
	TollFreePending  = "PENDING_REVIEW"
	TollFreeInReview = "IN_REVIEW"
	TollFreeRejected = "TWILIO_REJECTED"
)

// SetCampaign says how far the A2P 10DLC campaign of a Messaging Service is; "" takes it
// away. An account that has no brand yet gets an approved one with it.
func (e *Emulator) SetCampaign(serviceSID, status string) error {
	err := fmt.Errorf("emulator: there is no Messaging Service %s", serviceSID)
	e.do(func() {
		for _, a := range e.accounts {
			for _, s := range a.services {
				if s.sid == serviceSID {
					err = nil
					e.setCampaign(s, status)
				}
			}
		}
	})
	return err
}

func (e *Emulator) setCampaign(s *service, status string) {
	if status != "" && s.account.brand == nil {
		s.account.brand = &registration10DLC{sid: e.sid("BN"), status: "APPROVED", created: e.at}
	}
	e.setRegistration(&s.campaign, "QE", status)
}

// SetBrand says how far the A2P brand of an account is (APPROVED, PENDING, FAILED …); ""
// takes it away.
func (e *Emulator) SetBrand(accountSID, status string) error {
	return e.onAccount(accountSID, func(a *account) error {
		e.setRegistration(&a.brand, "BN", status)
		return nil
	})
}

// SetTollFree says how far the verification of a toll-free number is; "" takes it away.
func (e *Emulator) SetTollFree(number, status string) (err error) {
	e.do(func() {
		n := e.byNumber[number]
		if n == nil || !n.tollFree() {
			err = fmt.Errorf("emulator: %s is not a toll-free number of any account", number)
			return
		}
		e.setRegistration(&n.verification, "HH", status)
	})
	return err
}

func (e *Emulator) setRegistration(r **registration10DLC, prefix, status string) {
	switch {
	case status == "":
		*r = nil
	case *r == nil:
		*r = &registration10DLC{sid: e.sid(prefix), status: status, created: e.at}
	default:
		(*r).status = status
	}
}

func (r *registration10DLC) is(status string) bool { return r != nil && r.status == status }

// SetRegistrationRequired makes the carriers of the United States refuse what comes from
// numbers that are not registered: 30034 from a long code without a verified campaign,
// 30032 from a toll-free number without an approved verification.
func (e *Emulator) SetRegistrationRequired(on bool) {
	e.do(func() { e.o.RegistrationRequired = on })
}

// unregistered is the code with which a carrier refuses a message, 0 for none.
func (e *Emulator) unregistered(m *message) int {
	n, to := e.byNumber[m.from], country(m.to)
	switch {
	case !e.o.RegistrationRequired || n == nil || to != "US" && to != "CA":
		return 0
	case n.tollFree():
		if !n.verification.is(TollFreeApproved) {
			return 30032
		}
	case to == "US" && n.country == "US" && (n.service == nil || !n.service.campaign.is(CampaignVerified)):
		return 30034
	}
	return 0
}

// SetGeoPermission switches an account's permission to send messages to a country (ISO
// code) on or off. At first all are on.
func (e *Emulator) SetGeoPermission(accountSID, iso string, on bool) error {
	iso = strings.ToUpper(iso)
	return e.onAccount(accountSID, func(a *account) error {
		if e.lands[iso] == nil {
			return errNoCountry(iso)
		}
		a.geoOff[iso] = !on
		return nil
	})
}

func errNoCountry(iso string) error {
	return fmt.Errorf("emulator: it does not know the country %q", clip(iso, 10))
}

// geoPermissions is accounts.twilio.com/v1/Messaging/GeoPermissions.
func (e *Emulator) geoPermissions(q *request) result {
	want := strings.ToUpper(q.get("CountryCode"))
	list := []map[string]any{}
	for _, l := range e.sortedLands() {
		if want == "" || want == l.iso {
			list = append(list, map[string]any{"country_code": l.iso, "type": "country", "enabled": !q.account.geoOff[l.iso], "prefix": l.prefix, "message": ""})
		}
	}
	if len(list) == 0 {
		return fail(20001, "CountryCode is not valid")
	}
	return ok(map[string]any{"permissions": list})
}

// routePricing is pricing.twilio.com: what messages cost, by country.
func (e *Emulator) routePricing(q *request) result {
	if len(q.path) < 2 || len(q.path) > 3 || q.path[0] != "Messaging" || q.path[1] != "Countries" || q.Method != "GET" {
		return e.unknownPath(q)
	}
	body := func(l *land) map[string]any {
		return map[string]any{"country": l.name, "iso_country": l.iso, "url": "https://pricing.twilio.com/v1/Messaging/Countries/" + l.iso}
	}
	if len(q.path) == 2 {
		return metaPage(q, "countries", e.sortedLands(), body)
	}
	l := e.lands[strings.ToUpper(q.path[2])]
	if l == nil {
		return q.notFound()
	}
	rate := func(kind string, amount int64) map[string]any {
		s := strings.TrimPrefix(price(amount), "-")
		return map[string]any{"number_type": kind, "base_price": s, "current_price": s}
	}
	rates := func(amount int64) []map[string]any {
		return []map[string]any{rate("mobile", amount), rate("local", amount), rate("tollfree", amount)}
	}
	out := body(l)
	out["price_unit"] = e.o.PriceUnit
	out["outbound_sms_prices"] = []map[string]any{{"carrier": "Other", "mcc": "000", "mnc": "00", "prices": rates(l.out)}}
	out["inbound_sms_prices"] = rates(l.in)
	return ok(out)
}

// tollFreeVerifications is messaging.twilio.com/v1/Tollfree/Verifications.
func (e *Emulator) tollFreeVerifications(q *request) result {
	a := q.account
	show := func(n *number) map[string]any {
		v := n.verification
		body := map[string]any{}
		for _, name := range strings.Fields(`customer_profile_sid trust_product_sid regulated_item_sid business_street_address business_street_address2
			business_city business_state_province_region business_postal_code business_website business_contact_first_name business_contact_last_name
			business_contact_email business_contact_phone notification_email opt_in_image_urls additional_information rejection_reason error_code
			edit_expiration edit_allowed business_registration_number business_registration_authority business_registration_country business_type
			business_registration_phone_number doing_business_as opt_in_confirmation_message help_message_sample privacy_policy_url
			terms_and_conditions_url age_gated_content opt_in_keywords rejection_reasons resource_links external_reference_id vetting_id
			vetting_provider vetting_id_expiration`) {
			body[name] = nil
		}
		for name, x := range map[string]any{"sid": v.sid, "account_sid": a.sid, "date_created": iso(v.created), "date_updated": iso(v.created), "business_name": a.name,
			"business_country": "US", "use_case_categories": []string{"CUSTOMER_CARE"}, "use_case_summary": "", "production_message_sample": "", "opt_in_type": "VERBAL",
			"message_volume": "1,000", "tollfree_phone_number_sid": n.sid, "tollfree_phone_number": n.spec.E164, "status": v.status,
			"url": "https://messaging.twilio.com/v1/Tollfree/Verifications/" + v.sid} {
			body[name] = x
		}
		if v.status == TollFreeRejected {
			body["rejection_reason"], body["error_code"] = "the emulator was told to reject it", 30475
		}
		return body
	}
	var list []*number
	for _, n := range a.numbers {
		if v := n.verification; v != nil && (q.get("Status") == "" || q.get("Status") == v.status) &&
			(q.get("TollfreePhoneNumberSid") == "" || q.get("TollfreePhoneNumberSid") == n.sid) {
			list = append(list, n)
		}
	}
	if len(q.path) == 2 {
		return metaPage(q, "verifications", list, show)
	}
	i := slices.IndexFunc(list, func(n *number) bool { return n.verification.sid == q.path[2] })
	if i < 0 {
		return q.notFound()
	}
	return ok(show(list[i]))
}

// brands is messaging.twilio.com/v1/a2p/BrandRegistrations.
func (e *Emulator) brands(q *request) result {
	a := q.account
	show := func(b *registration10DLC) map[string]any {
		u := "https://messaging.twilio.com/v1/a2p/BrandRegistrations/" + b.sid
		return map[string]any{"sid": b.sid, "account_sid": a.sid, "customer_profile_bundle_sid": nil, "a2p_profile_bundle_sid": nil, "date_created": iso(b.created),
			"date_updated": iso(b.created), "brand_type": "STANDARD", "status": b.status, "tcr_id": "B" + b.sid[2:8], "failure_reason": nil, "errors": []any{}, "url": u,
			"brand_score": nil, "brand_feedback": []any{}, "identity_status": "VERIFIED", "russell_3000": false, "government_entity": false, "tax_exempt_status": nil,
			"skip_automatic_sec_vet": false, "mock": false, "links": map[string]any{"brand_vettings": u + "/Vettings", "brand_registration_otps": u + "/SmsOtp"}}
	}
	var list []*registration10DLC
	if a.brand != nil {
		list = append(list, a.brand)
	}
	switch {
	case len(q.path) == 2:
		return metaPage(q, "data", list, show)
	case a.brand == nil || a.brand.sid != q.path[2]:
		return q.notFound()
	}
	return ok(show(a.brand))
}

// campaigns is Compliance/Usa2p of a Messaging Service.
func (e *Emulator) campaigns(q *request, s *service) result {
	show := func(c *registration10DLC) map[string]any {
		brand := any(nil)
		if s.account.brand != nil {
			brand = s.account.brand.sid
		}
		problems := []any{}
		if c.status == CampaignFailed {
			problems = append(problems, map[string]any{"error_code": 30886, "description": "the emulator was told to let it fail", "fields": []string{}, "url": "https://www.twilio.com/docs/api/errors/30886"})
		}
		return map[string]any{"sid": c.sid, "account_sid": s.account.sid, "brand_registration_sid": brand, "messaging_service_sid": s.sid, "description": "Messages of " + s.name,
			"message_samples": []string{"Hello"}, "us_app_to_person_usecase": "MIXED", "has_embedded_links": true, "has_embedded_phone": false, "subscriber_opt_in": true,
			"age_gated": false, "direct_lending": false, "campaign_status": c.status, "campaign_id": "C" + strings.ToUpper(c.sid[2:8]), "is_externally_registered": false,
			"rate_limits": map[string]any{"att": map[string]any{"mps": 75, "msg_class": "T"}, "tmobile": map[string]any{"brand_tier": "LOW"}}, "message_flow": nil,
			"opt_in_message": nil, "opt_out_message": nil, "help_message": nil, "opt_in_keywords": startWords, "opt_out_keywords": stopWords, "help_keywords": helpWords,
			"date_created": iso(c.created), "date_updated": iso(c.created), "url": "https://messaging.twilio.com/v1/Services/" + s.sid + "/Compliance/Usa2p/" + c.sid,
			"mock": false, "errors": problems}
	}
	var list []*registration10DLC
	if s.campaign != nil {
		list = append(list, s.campaign)
	}
	switch {
	case len(q.path) == 4:
		return metaPage(q, "compliance", list, show)
	case s.campaign == nil || s.campaign.sid != q.path[4]:
		return q.notFound()
	}
	return ok(show(s.campaign))
}
