package twilio

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"switchboard/internal/errs"
)

const (
	monitorBase = "https://monitor.twilio.com"
	voiceBase   = "https://voice.twilio.com"
)

// Alert is one entry of Twilio's debugger: something that went wrong beyond a request.
type Alert struct {
	SID         string
	Code        int
	Level       string // error, warning
	ResourceSID string // of the call or message, "" for none
	At          time.Time
}

// Alerts are the newest entries of the account's debugger since a time and until
// another, newest first, of one page; the zero time is now (twilio:
// monitor/api/alert-resource).
func (c *Client) Alerts(ctx context.Context, since, until time.Time) ([]Alert, error) {
	var page struct {
		Alerts []struct {
			SID         string `json:"sid"`
			Code        string `json:"error_code"`
			Level       string `json:"log_level"`
			ResourceSID string `json:"resource_sid"`
			Created     string `json:"date_created"`
		} `json:"alerts"`
	}
	q := url.Values{"PageSize": {"100"}, "StartDate": {since.UTC().Format(time.RFC3339)}}
	if !until.IsZero() {
		q.Set("EndDate", until.UTC().Format(time.RFC3339))
	}
	if err := c.raw(ctx, http.MethodGet, monitorBase+"/v1/Alerts", q, &page); err != nil {
		return nil, err
	}
	out := make([]Alert, 0, len(page.Alerts))
	for _, a := range page.Alerts {
		at, _ := moment(a.Created)
		if at.Before(since) || !until.IsZero() && at.After(until) {
			continue
		}
		code, _ := strconv.Atoi(a.Code)
		out = append(out, Alert{SID: a.SID, Code: code, Level: a.Level, ResourceSID: a.ResourceSID, At: at})
	}
	return out, nil
}

// MayCall reports whether the account may call ordinary numbers of a country (ISO),
// as its voice geographic permissions say (twilio: voice/api/dialingpermissions-country-resource).
func (c *Client) MayCall(ctx context.Context, country string) (bool, error) {
	if len(country) != 2 {
		return false, errs.New(errs.Invalid, "this is not a country")
	}
	var x struct {
		Low *bool `json:"low_risk_numbers_enabled"`
	}
	if err := c.raw(ctx, http.MethodGet, voiceBase+"/v1/DialingPermissions/Countries/"+url.PathEscape(country), nil, &x); err != nil {
		return false, err
	}
	if x.Low == nil {
		return false, errs.New(errs.ProviderUnavailable, "Twilio did not say whether the account may call that country; try again later")
	}
	return *x.Low, nil
}
