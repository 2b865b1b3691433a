package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"switchboard/internal/emulator"
)

// Outside phones that only the messages of the checklist use.
const (
	checkTired = "+61491571491" // texts STOP
	checkMany  = 20             // customers of the text to many
)

// forecast is what a preview says of one recipient.
type forecast struct {
	To, Body      string
	IsSendable    bool
	Segments      int
	Sender        *Chosen
	EstimatedCost *struct{ Amount, Currency string }
	Problems      []struct{ Code, Message string }
}

func (f forecast) has(code string) bool {
	return slices.ContainsFunc(f.Problems, func(p struct{ Code, Message string }) bool { return p.Code == code })
}

// preview asks what would become of a message; the input is a MessagePreviewInput.
func (c *Client) preview(ctx context.Context, input Vars) ([]forecast, error) {
	var out struct {
		MessagePreview struct{ Recipients []forecast }
	}
	err := c.Do(ctx, `query($i: MessagePreviewInput!) { messagePreview(input: $i) {
		recipients { to body isSendable segments sender { e164 reason } estimatedCost { amount currency } problems { code message } } } }`, Vars{"i": input}, &out)
	return out.MessagePreview.Recipients, err
}

// arrives waits until a message of ours is on the phone, and gives it as Twilio has it.
func (k *checklist) arrives(ctx context.Context, c *Client, id string) (m emulator.Message, err error) {
	var out struct {
		Message struct{ Status, StatusText, TwilioSid string }
	}
	ask := func(ctx context.Context) error {
		return c.Do(ctx, `query($id: ID!) { message(id: $id) { status statusText twilioSid } }`, Vars{"id": id}, &out)
	}
	err = c.Until(ctx, "the message is handed to Twilio", func(ctx context.Context) (bool, error) {
		err := ask(ctx)
		return out.Message.TwilioSid != "" || out.Message.Status == "FAILED", err
	})
	if err != nil {
		return m, err
	}
	if out.Message.TwilioSid == "" {
		return m, errors.New(out.Message.StatusText)
	}
	err = k.world.until(ctx, "the message is delivered", func() bool {
		for _, x := range k.o.Emulator.Messages() {
			if x.SID == out.Message.TwilioSid {
				m = x
			}
		}
		return m.Status == "delivered" || m.Status == "undelivered" || m.Status == "failed"
	})
	if err != nil {
		return m, err
	}
	err = c.Until(ctx, "the message says DELIVERED", func(ctx context.Context) (bool, error) {
		err := ask(ctx)
		return out.Message.Status == "DELIVERED", err
	})
	if err != nil && out.Message.StatusText != "" {
		err = fmt.Errorf("%w; it says: %s", err, out.Message.StatusText)
	}
	return m, err
}

// previewed is step 6.
func (k *checklist) previewed(ctx context.Context) error {
	office := k.clients[officeEmail]
	body := "We can come on Friday at 10. Does that suit you? (" + k.mark + ")"
	list, err := office.preview(ctx, Vars{"body": body, "audience": Vars{"recipients": []Vars{{"to": checkCaller}, {"to": checkCaller}, {"to": "12"}}}})
	if err != nil {
		return err
	}
	if len(list) != 3 || !list[0].IsSendable || list[0].Sender == nil || list[1].IsSendable || !list[1].has("DUPLICATE") || list[2].IsSendable || !list[2].has("INVALID_NUMBER") {
		return fmt.Errorf("of a number, the same again and no number the preview says %+v", list)
	}
	said := list[0]
	cost := "unknown"
	if said.EstimatedCost != nil {
		cost = said.EstimatedCost.Amount + " " + said.EstimatedCost.Currency
	}
	k.say("the preview: from %s (%s), %d part, about %s; a double and a wrong number are left out", said.Sender.E164, said.Sender.Reason, said.Segments, cost)
	sent, err := office.Send(ctx, Vars{"to": checkCaller, "body": body})
	if err != nil {
		return err
	}
	arrived, err := k.arrives(ctx, office, sent.ID)
	if err != nil {
		return err
	}
	if arrived.From != said.Sender.E164 || arrived.Body != said.Body || arrived.Segments != said.Segments || sent.Sender == nil || *sent.Sender != *said.Sender {
		return fmt.Errorf("the preview said %+v, but what arrived is %q in %d parts from %s", said, arrived.Body, arrived.Segments, arrived.From)
	}
	k.say("sent: what arrives is what the preview said")
	return nil
}

// attachment is a file of a message as the contract shows it.
type attachment struct {
	ID, State, ContentType string
	URL, ThumbnailURL      *string
}

// pictures is step 7.
func (k *checklist) pictures(ctx context.Context) error {
	office := k.clients[officeEmail]
	data := photo()
	id, err := office.upload(ctx, "boiler.png", data)
	if err != nil {
		return err
	}
	sent, err := office.Send(ctx, Vars{"to": carlaPhone, "body": "This is the new part (" + k.mark + ").", "mediaIds": []string{id}})
	if err != nil {
		return err
	}
	arrived, err := k.arrives(ctx, office, sent.ID)
	if err != nil {
		return err
	}
	if arrived.Media != 1 {
		return fmt.Errorf("the message arrived with %d files, not one", arrived.Media)
	}
	k.say("Olive Chen sends a picture to %s from %s: DELIVERED", carlaPhone, arrived.From)
	reply := "And this is the old one (" + k.mark + ")."
	if err := k.world.text(ctx, carlaPhone, arrived.From, reply, emulator.Media{ContentType: "image/png", Data: data}); err != nil {
		return err
	}
	var got attachment
	err = k.admin.Until(ctx, "the picture of the answer is kept", func(ctx context.Context) (bool, error) {
		var out struct {
			Messages struct {
				Nodes []struct {
					Body  string
					Media []attachment
				}
			}
		}
		err := k.admin.Do(ctx, `query($n: String!) { messages(first: 1, filter: {number: $n, direction: INBOUND}) { nodes { body media { id state contentType url thumbnailUrl } } } }`,
			Vars{"n": carlaPhone}, &out)
		if err != nil || len(out.Messages.Nodes) == 0 || out.Messages.Nodes[0].Body != reply || len(out.Messages.Nodes[0].Media) != 1 {
			return false, err
		}
		got = out.Messages.Nodes[0].Media[0]
		return got.State == "STORED" && got.URL != nil && got.ThumbnailURL != nil, nil
	})
	if err != nil {
		return err
	}
	whole, err := k.fetch(ctx, *got.URL)
	if err != nil {
		return err
	}
	small, err := k.fetch(ctx, *got.ThumbnailURL)
	if err != nil {
		return err
	}
	large, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return err
	}
	size, err := jpeg.DecodeConfig(bytes.NewReader(small))
	if err != nil {
		return fmt.Errorf("the small picture cannot be shown: %w", err)
	}
	if !bytes.Equal(whole, data) || size.Width >= large.Width {
		return fmt.Errorf("of a picture of %d bytes there are %d, and the small one is %d pixels wide", len(data), len(whole), size.Width)
	}
	k.say("a picture comes back: our copy has its %d bytes, the small one is %d pixels wide", len(whole), size.Width)
	return nil
}

// upload posts a file for a message and gives its id.
func (c *Client) upload(ctx context.Context, name string, data []byte) (id string, err error) {
	address := strings.TrimSuffix(c.URL, "/graphql") + "/media?for=message&name=" + url.QueryEscape(name)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(data))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token())
	res, err := c.HTTP.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var out struct{ ID, Code, Message string }
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&out); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("the upload was refused with %d: %s (%s)", res.StatusCode, out.Message, out.Code)
	}
	return out.ID, nil
}

// fetch gets a signed address, as a browser does.
func (k *checklist) fetch(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := k.admin.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the address of the file answers %d", res.StatusCode)
	}
	return io.ReadAll(io.LimitReader(res.Body, maxAnswer))
}

// many is step 8.
func (k *checklist) many(ctx context.Context) error {
	dan := k.clients[dispatcherEmail]
	body := "Our office is closed on Monday (" + k.mark + ")."
	var to []Vars
	var phones []string
	for i := range checkMany {
		phones = append(phones, fmt.Sprintf("+151255501%02d", 70+i))
		to = append(to, Vars{"to": phones[i]})
	}
	to = append(to, Vars{"to": phones[0]}, Vars{"to": "12"})
	id, err := dan.create(ctx, "bulkMessageCreate", "bulkMessage", "BulkMessageCreateInput",
		Vars{"name": "Checklist " + k.mark, "body": body, "audience": Vars{"recipients": to}, "ratePerSecond": 100})
	if err != nil {
		return err
	}
	progress, err := dan.Watch(ctx, `subscription($id: ID!) { bulkMessageChanged(id: $id) { status } }`, Vars{"id": id})
	if err != nil {
		return err
	}
	defer progress.Stop()
	for _, phone := range phones {
		if _, err := k.world.reached(ctx, phone, body); err != nil {
			return fmt.Errorf("%s: %w", phone, err)
		}
	}
	waiting, stop := context.WithTimeout(ctx, k.world.patience)
	defer stop()
	for status := ""; status != "DONE"; {
		var out struct{ BulkMessageChanged struct{ Status string } }
		if err := progress.Next(waiting, &out); err != nil {
			return fmt.Errorf("no progress said DONE, but %q last: %w", status, err)
		}
		status = out.BulkMessageChanged.Status
	}
	var out struct {
		BulkMessage struct {
			Counts     struct{ Delivered, Skipped, Failed, Unknown int }
			Recipients struct {
				Nodes []struct {
					Given   string
					Problem *struct{ Code string }
				}
			}
		}
	}
	err = dan.Until(ctx, "all are delivered", func(ctx context.Context) (bool, error) {
		err := dan.Do(ctx, `query($id: ID!) { bulkMessage(id: $id) { counts { delivered skipped failed unknown }
			recipients(first: 10, filter: {state: SKIPPED}) { nodes { given problem { code } } } } }`, Vars{"id": id}, &out)
		return out.BulkMessage.Counts.Delivered == checkMany, err
	})
	if err != nil {
		return fmt.Errorf("%w; the counts are %+v", err, out.BulkMessage.Counts)
	}
	for _, phone := range phones {
		n := 0
		for _, m := range k.o.Emulator.MessagesTo(phone) {
			if m.Body == body {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("%s got it %d times", phone, n)
		}
	}
	var why []string
	for _, r := range out.BulkMessage.Recipients.Nodes {
		if r.Problem != nil {
			why = append(why, r.Given+" "+r.Problem.Code)
		}
	}
	slices.Sort(why)
	if want := []string{phones[0] + " DUPLICATE", "12 INVALID_NUMBER"}; !slices.Equal(why, want) {
		return fmt.Errorf("left out are %q, not %q", why, want)
	}
	k.say("%d customers got it once each; left out and listed: %s", checkMany, strings.Join(why, ", "))
	return nil
}

// template is step 9.
func (k *checklist) template(ctx context.Context) error {
	dan := k.clients[dispatcherEmail]
	record, template := k.records["Air conditioner service"], k.templates[visitReminder]
	var shown struct {
		MessageTemplatePreview struct {
			Body              string
			Missing, Problems []string
		}
	}
	err := dan.Do(ctx, `query($i: MessageTemplatePreviewInput!) { messageTemplatePreview(input: $i) { body missing problems } }`,
		Vars{"i": Vars{"templateId": template, "recordId": record}}, &shown)
	if err != nil {
		return err
	}
	if p := shown.MessageTemplatePreview; len(p.Missing)+len(p.Problems) > 0 || !strings.HasPrefix(p.Body, "Hi Alice, "+OrganizationName) {
		return fmt.Errorf("the template's preview is %+v", p)
	}
	sent, err := dan.Send(ctx, Vars{"templateId": template, "contactId": k.contacts["Alice Wong"], "recordId": record})
	if err != nil {
		return err
	}
	arrived, err := k.arrives(ctx, dan, sent.ID)
	if err != nil {
		return err
	}
	if arrived.Body != shown.MessageTemplatePreview.Body {
		return fmt.Errorf("the preview was %q, but what arrived is %q", shown.MessageTemplatePreview.Body, arrived.Body)
	}
	k.say("Alice reads: %q", arrived.Body)
	_, err = dan.create(ctx, "messageTemplateCreate", "messageTemplate", "MessageTemplateCreateInput",
		Vars{"kind": "TEMPLATE", "name": "Checklist " + k.mark, "purpose": "OTHER", "recordKind": "BOOKING", "body": "Pay {{record.amountt}} today"})
	var f *Failure
	if !errors.As(err, &f) || len(f.Problems) == 0 || !strings.Contains(f.Problems[0].Message, "did you mean") {
		return fmt.Errorf("a template with an unknown field was not refused: %w", err)
	}
	k.say("an unknown field is refused: %s", f.Problems[0].Message)
	return nil
}

// underway is step 10.
func (k *checklist) underway(ctx context.Context) error {
	link := "https://track.demo.test/" + url.PathEscape(k.mark)
	record, err := k.admin.create(ctx, "recordCreate", "record", "RecordCreateInput", Vars{"kind": "BOOKING", "title": "Checklist " + k.mark,
		"contactId": k.contacts["Alice Wong"], "assignedUserId": k.users[generalEmail], "startsAt": k.world.clk.Now().Add(30 * time.Minute)})
	if err != nil {
		return err
	}
	_, err = k.clients[generalEmail].create(ctx, "recordEvent", "event", "RecordEventInput",
		Vars{"recordId": record, "event": "ON_THE_WAY", "etaAt": k.world.clk.Now().Add(25 * time.Minute), "trackingUrl": link})
	if err != nil {
		return err
	}
	k.say("Grace Moreau reports from the field that she is on the way")
	m, err := k.world.texted(ctx, alicePhone, func(m emulator.Message) bool { return strings.HasSuffix(m.Body, link) })
	if err != nil {
		return err
	}
	if !strings.HasPrefix(m.Body, "Hi Alice, Grace is on the way") {
		return fmt.Errorf("the customer Alice reads %q", m.Body)
	}
	var out struct {
		Record struct {
			AutomationRuns struct {
				Nodes []struct {
					State   string
					Message *struct{ Body string }
				}
			}
		}
	}
	err = k.admin.Do(ctx, `query($r: ID!) { record(id: $r) { automationRuns(first: 5) { nodes { state message { body } } } } }`, Vars{"r": record}, &out)
	if err != nil {
		return err
	}
	if r := out.Record.AutomationRuns.Nodes; len(r) != 1 || r[0].State != "SENT" || r[0].Message == nil || r[0].Message.Body != m.Body {
		return fmt.Errorf("the automation's runs for the record are %+v", r)
	}
	k.say("Alice reads: %q", m.Body)
	return nil
}

// stop is step 11.
func (k *checklist) stop(ctx context.Context) error {
	office := k.clients[officeEmail]
	says := func(word string) error { return k.world.text(ctx, checkTired, SydneyNumber, word) }
	reachable := func() (bool, error) {
		list, err := office.preview(ctx, Vars{"body": "Hello", "audience": Vars{"recipients": []Vars{{"to": checkTired}}}})
		if err != nil || len(list) != 1 {
			return false, err
		}
		return list[0].IsSendable && !list[0].has("OPTED_OUT"), nil
	}
	if err := says("STOP"); err != nil {
		return err
	}
	if ok, err := reachable(); err != nil || ok {
		return join(err, errors.New("after STOP the preview would send"))
	}
	_, err := office.Send(ctx, Vars{"to": checkTired, "body": "Are you sure? (" + k.mark + ")"})
	var f *Failure
	if !errors.As(err, &f) || !strings.Contains(f.Error(), "START") {
		return fmt.Errorf("after STOP a message is not refused with what helps: %w", err)
	}
	if err := k.world.settle(ctx); err != nil {
		return err
	}
	for _, m := range k.o.Emulator.MessagesTo(checkTired) {
		if strings.Contains(m.Body, k.mark) {
			return errors.New("a message was sent after STOP")
		}
	}
	k.say("%s writes STOP; a text is refused: %s", checkTired, f.Problems[0].Message)
	if err := join(k.talk(ctx, time.Second), says("START")); err != nil {
		return err
	}
	if ok, err := reachable(); err != nil || !ok {
		return join(err, errors.New("after START the preview would still not send"))
	}
	var out struct {
		Consents struct {
			Nodes []struct{ Kind, Source string }
		}
	}
	err = office.Do(ctx, `query($n: String!) { consents(first: 2, filter: {number: $n}) { nodes { kind source } } }`, Vars{"n": checkTired}, &out)
	if err != nil {
		return err
	}
	if c := out.Consents.Nodes; len(c) != 2 || c[0].Kind+c[0].Source != "OPT_INKEYWORD" || c[1].Kind+c[1].Source != "OPT_OUTKEYWORD" {
		return fmt.Errorf("the history of consent says %+v", c)
	}
	k.say("after START a text would be sent again; the history has both words")
	return nil
}
