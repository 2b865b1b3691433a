package number

import (
	"slices"
	"strings"
	"unicode/utf8"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
	"switchboard/internal/route"
)

// Update is a change to a number: absent keeps, null clears.
type Update struct {
	Name           patch.Field[string]
	IsEnabled      patch.Field[bool]
	BranchID       patch.Field[id.ID]
	BusinessUnit   patch.Field[string]
	AssignedUserID patch.Field[id.ID]
	Routing        RoutingUpdate
	Usage          UsageUpdate
	Prompts        PromptUpdate
	Voicemail      VoicemailUpdate
	Recording      RecordingUpdate
	TakeOver       bool
}

// RoutingUpdate is a change to a number's routing.
type RoutingUpdate struct {
	Mode                      patch.Field[RoutingMode]
	RingStrategy              patch.Field[RingStrategy]
	ReachBy                   patch.Field[ReachBy]
	IncludeGeneralFieldworker patch.Field[bool]
	RingTimeoutSeconds        patch.Field[int]
	DialTimeoutSeconds        patch.Field[int]
	AgentTimeoutSeconds       patch.Field[int]
	CallForwardingNumber      patch.Field[string]
	ForwardingNumbers         patch.Field[[]string]
	AllowTransfer             patch.Field[bool]
	Bridge                    patch.Field[Bridge]
	TeamID                    patch.Field[id.ID]
	PreferredUser             patch.Field[bool]
	Screening                 patch.Field[bool]
	OpeningHoursID            patch.Field[id.ID]
	AfterHours                AfterHoursUpdate
	MenuID                    patch.Field[id.ID]
}

// AfterHoursUpdate is a change to what happens outside opening hours.
type AfterHoursUpdate struct {
	Action  patch.Field[route.ClosedAction]
	Text    patch.Field[string]
	AudioID patch.Field[id.ID]
	Numbers patch.Field[[]string]
}

// UsageUpdate is a change to what a number is used for.
type UsageUpdate struct {
	InboundCalls patch.Field[bool]
	CallerID     patch.Field[bool]
	Messages     patch.Field[bool]
}

// PromptUpdate is a change to what callers hear. An address of audio is fetched
// once and kept by us.
type PromptUpdate struct {
	WelcomeText      patch.Field[string]
	WelcomeAudioID   patch.Field[id.ID]
	WelcomeAudioURL  patch.Field[string]
	FarewellText     patch.Field[string]
	FarewellAudioID  patch.Field[id.ID]
	FarewellAudioURL patch.Field[string]
	Voice            patch.Field[string]
	Language         patch.Field[string]
}

// VoicemailUpdate is a change to a number's voicemail.
type VoicemailUpdate struct {
	IsEnabled        patch.Field[bool]
	GreetingText     patch.Field[string]
	GreetingAudioID  patch.Field[id.ID]
	GreetingAudioURL patch.Field[string]
	MaxSeconds       patch.Field[int]
	OwnerID          patch.Field[id.ID]
	NotifiedUserIDs  patch.Field[[]id.ID]
}

// RecordingUpdate is a change to recording; null: as the connection says (D23).
type RecordingUpdate struct {
	Incoming patch.Field[RecordingMode]
	Outgoing patch.Field[RecordingMode]
}

// AudioID is the id of an audio, for inputs: what an upload gave.
const AudioID = id.Upload

// apply checks a change and makes it. It does no I/O; what the database knows
// better (whether users, branches and audio exist) is checked afterwards.
func (n *PhoneNumber) apply(in Update, country string) (err error) {
	if n.DisconnectedAt != nil {
		return errs.New(errs.Conflict, "this number is disconnected; import the numbers of its connection to have it back")
	}
	if in.Name.Set {
		if n.Name, err = checkText(in.Name.Value, maxName, "name"); err != nil {
			return err
		}
	}
	if err := need(in.IsEnabled, &n.IsEnabled, "isEnabled"); err != nil {
		return err
	}
	if err := changeID(in.BranchID, &n.BranchID, id.Branch, "branchId"); err != nil {
		return err
	}
	if err := changeText(in.BusinessUnit, &n.BusinessUnit, maxUnit, "businessUnit"); err != nil {
		return err
	}
	if err := n.assignable(in.AssignedUserID); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return n.speak(in.Prompts) }, // first: how long a text may be depends on the voice
		func() error { return n.route(in.Routing, country) },
		func() error { return n.close(in.Routing.AfterHours, country) },
		func() error { return n.use(in.Usage) },
		func() error { return n.prompt(in.Prompts) },
		func() error { return n.answer(in.Voicemail) },
		func() error { return n.record(in.Recording) },
		func() error { return n.speakable(in.Prompts.Voice) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// assignable checks the id only; the command asks who holds what (R037, D19).
func (n *PhoneNumber) assignable(f patch.Field[id.ID]) error {
	unchanged := n.AssignedUserID
	err := changeID(f, &unchanged, id.User, "assignedUserId")
	return err
}

func (n *PhoneNumber) route(in RoutingUpdate, country string) error {
	if err := choose(in.Mode, &n.RoutingMode, "mode", RouteBranch, RouteLayered, RouteTeam); err != nil {
		return err
	}
	if err := choose(in.RingStrategy, &n.RingStrategy, "ringStrategy", RingSimultaneous, RingSequential, RingRoundRobin); err != nil {
		return err
	}
	if err := choose(in.ReachBy, &n.ReachBy, "reachBy", ReachDevices, ReachPrimaryPhone, ReachSIPAddress); err != nil {
		return err
	}
	if err := choose(in.Bridge, &n.BridgeKind, "bridge", BridgePromote, BridgeConference); err != nil {
		return err
	}
	if err := need(in.IncludeGeneralFieldworker, &n.IncludeGeneralFieldworker, "routing", "includeGeneralFieldworker"); err != nil {
		return err
	}
	if err := need(in.AllowTransfer, &n.AllowTransfer, "routing", "allowTransfer"); err != nil {
		return err
	}
	if err := need(in.PreferredUser, &n.PreferredUser, "routing", "preferredUser"); err != nil {
		return err
	}
	if err := need(in.Screening, &n.Screening, "routing", "screening"); err != nil {
		return err
	}
	if err := changeID(in.TeamID, &n.TeamID, id.Team, "routing", "teamId"); err != nil {
		return err
	}
	if err := changeID(in.OpeningHoursID, &n.OpeningHoursID, id.Schedule, "routing", "openingHoursId"); err != nil {
		return err
	}
	if err := changeID(in.MenuID, &n.MenuID, id.Menu, "routing", "menuId"); err != nil {
		return err
	}
	if err := need(in.RingTimeoutSeconds, &n.RingTimeoutSeconds, "routing", "ringTimeoutSeconds"); err != nil {
		return err
	}
	if err := seconds(n.RingTimeoutSeconds, 5, 600, "routing", "ringTimeoutSeconds"); err != nil {
		return err
	}
	if in.DialTimeoutSeconds.Has() {
		if err := seconds(in.DialTimeoutSeconds.Value, 5, 600, "routing", "dialTimeoutSeconds"); err != nil {
			return err
		}
	}
	in.DialTimeoutSeconds.ApplyPtr(&n.DialTimeoutSeconds)
	if in.AgentTimeoutSeconds.Has() {
		if err := seconds(in.AgentTimeoutSeconds.Value, 5, 600, "routing", "agentTimeoutSeconds"); err != nil {
			return err
		}
	}
	in.AgentTimeoutSeconds.ApplyPtr(&n.AgentTimeoutSeconds)
	return n.forward(in, country)
}

func (n *PhoneNumber) forward(in RoutingUpdate, country string) (err error) {
	if in.CallForwardingNumber.Set {
		n.CallForwardingNumber = nil
		if in.CallForwardingNumber.Has() && in.CallForwardingNumber.Value != "" {
			e, err := n.elsewhere(in.CallForwardingNumber.Value, country, "routing", "callForwardingNumber")
			if err != nil {
				return err
			}
			n.CallForwardingNumber = &e
		}
	}
	if in.ForwardingNumbers.Set {
		n.ForwardingNumbers, err = n.forwards(in.ForwardingNumbers.Value, country, "routing", "forwardingNumbers")
	}
	return err
}

// elsewhere reads a number, as typed, that calls are sent to.
func (n *PhoneNumber) elsewhere(s, country string, field ...string) (phone.E164, error) {
	e, err := outsideNumber(s, country, field...)
	if err == nil && e == n.E164 {
		return "", errs.New(errs.Invalid, "a number cannot be forwarded to itself; enter another one").At(field...)
	}
	return e, err
}

func (n *PhoneNumber) forwards(list []string, country string, field ...string) ([]phone.E164, error) {
	if len(list) > maxForwarding {
		return nil, errs.New(errs.LimitReached, "a number has %d forwarding numbers at most", maxForwarding).At(field...)
	}
	out := []phone.E164{}
	for _, s := range list {
		e, err := n.elsewhere(s, country, field...)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out, nil
}

// close changes what happens outside opening hours (D02).
func (n *PhoneNumber) close(in AfterHoursUpdate, country string) (err error) {
	if in.Action.Set {
		switch in.Action.Value {
		case route.ClosedVoicemail, route.ClosedForward, route.ClosedHangUp:
			n.ClosedAction = in.Action.Value
		default:
			return errs.New(errs.Invalid, "choose what happens outside opening hours: VOICEMAIL, FORWARD or HANG_UP").At("routing", "afterHours", "action")
		}
	}
	if err := changeText(in.Text, &n.ClosedText, spoken(n.Voice), "routing", "afterHours", "text"); err != nil {
		return err
	}
	if err := changeID(in.AudioID, &n.ClosedAudioID, AudioID, "routing", "afterHours", "audioId"); err != nil {
		return err
	}
	if in.Numbers.Set {
		if n.ClosedNumbers, err = n.forwards(in.Numbers.Value, country, "routing", "afterHours", "numbers"); err != nil {
			return err
		}
	}
	if (in.Action.Set || in.Numbers.Set) && n.ClosedAction == route.ClosedForward && len(n.ClosedNumbers) == 0 {
		return errs.New(errs.Required, "say where calls are forwarded outside opening hours").At("routing", "afterHours", "numbers")
	}
	return nil
}

func (n *PhoneNumber) use(in UsageUpdate) error {
	if err := need(in.InboundCalls, &n.UseForInboundCalls, "usage", "inboundCalls"); err != nil {
		return err
	}
	if err := need(in.CallerID, &n.UseForCallerID, "usage", "callerId"); err != nil {
		return err
	}
	return need(in.Messages, &n.UseForMessages, "usage", "messages")
}

// spoken is how many characters of a text a voice speaks
// (twilio.com/docs/voice/twiml/say).
func spoken(voice string) int {
	switch {
	case strings.HasPrefix(voice, "Polly."):
		return maxSpoken
	case strings.HasPrefix(voice, "Google."):
		return 5000
	}
	return 4096
}

func (n *PhoneNumber) speak(in PromptUpdate) error {
	if in.Voice.Set && !voiceName.MatchString(in.Voice.Value) {
		return errs.New(errs.Invalid, "this is not a voice; take one of Twilio's, such as Polly.Joanna").At("prompts", "voice")
	}
	if in.Language.Set && !languageCode.MatchString(in.Language.Value) {
		return errs.New(errs.Invalid, "this is not a language; write it such as en-AU").At("prompts", "language")
	}
	in.Voice.Apply(&n.Voice)
	in.Language.Apply(&n.Language)
	return nil
}

// speakable refuses a new voice that cannot speak a text that is there already.
func (n *PhoneNumber) speakable(voice patch.Field[string]) error {
	if !voice.Set {
		return nil
	}
	for _, x := range []struct {
		what string
		text *string
	}{{"welcome", n.WelcomeText}, {"farewell", n.FarewellText}, {"voicemail greeting", n.VoicemailGreetingText}, {"after-hours prompt", n.ClosedText}} {
		if limit := spoken(n.Voice); x.text != nil && utf8.RuneCountInString(*x.text) > limit {
			return errs.New(errs.Invalid, "the %s is longer than the %d characters that this voice speaks; shorten it, or choose another voice", x.what, limit).At("prompts", "voice")
		}
	}
	return nil
}

func (n *PhoneNumber) prompt(in PromptUpdate) error {
	if err := changeText(in.WelcomeText, &n.WelcomeText, spoken(n.Voice), "prompts", "welcomeText"); err != nil {
		return err
	}
	if err := changeText(in.FarewellText, &n.FarewellText, spoken(n.Voice), "prompts", "farewellText"); err != nil {
		return err
	}
	if err := changeAudio(in.WelcomeAudioID, in.WelcomeAudioURL, &n.WelcomeAudioID, "prompts", "welcomeAudio"); err != nil {
		return err
	}
	return changeAudio(in.FarewellAudioID, in.FarewellAudioURL, &n.FarewellAudioID, "prompts", "farewellAudio")
}

// changeAudio applies an audio given by its id; one given by its address is
// fetched by the command, which then knows the id.
func changeAudio(audio patch.Field[id.ID], address patch.Field[string], dst *id.ID, part, field string) error {
	if audio.Set && address.Set {
		return errs.New(errs.Invalid, "give the audio by its id or by its address, not both").At(part, field+"Url")
	}
	if address.Null {
		*dst = id.ID{}
	}
	return changeID(audio, dst, AudioID, part, field+"Id")
}

func (n *PhoneNumber) answer(in VoicemailUpdate) (err error) {
	if err := need(in.IsEnabled, &n.VoicemailEnabled, "voicemail", "isEnabled"); err != nil {
		return err
	}
	if err := changeText(in.GreetingText, &n.VoicemailGreetingText, spoken(n.Voice), "voicemail", "greetingText"); err != nil {
		return err
	}
	if err := changeAudio(in.GreetingAudioID, in.GreetingAudioURL, &n.VoicemailGreetingAudioID, "voicemail", "greetingAudio"); err != nil {
		return err
	}
	if err := need(in.MaxSeconds, &n.VoicemailMaxSeconds, "voicemail", "maxSeconds"); err != nil {
		return err
	}
	if err := seconds(n.VoicemailMaxSeconds, 5, 3600, "voicemail", "maxSeconds"); err != nil {
		return err
	}
	if err := changeID(in.OwnerID, &n.VoicemailOwnerID, id.User, "voicemail", "ownerId"); err != nil {
		return err
	}
	if in.NotifiedUserIDs.Set {
		n.VoicemailUserIDs, err = checkIDs(in.NotifiedUserIDs.Value, id.User, maxNotified, "voicemail", "notifiedUserIds")
	}
	return err
}

func (n *PhoneNumber) record(in RecordingUpdate) error {
	for field, m := range map[string]struct {
		change patch.Field[RecordingMode]
		dst    **RecordingMode
	}{"incoming": {in.Incoming, &n.IncomingRecording}, "outgoing": {in.Outgoing, &n.OutgoingRecording}} {
		if m.change.Has() && !m.change.Value.Known() {
			return errs.New(errs.Invalid, "%q is not a recording mode", string(m.change.Value)).At("recording", field)
		}
		m.change.ApplyPtr(m.dst)
	}
	return nil
}

// fields names what the change mentions, for the audit record: no values.
func (in Update) fields() []string {
	var out []string
	add := func(name string, set ...bool) {
		if slices.Contains(set, true) {
			out = append(out, name)
		}
	}
	r, p, v := in.Routing, in.Prompts, in.Voicemail
	add("name", in.Name.Set)
	add("isEnabled", in.IsEnabled.Set)
	add("branchId", in.BranchID.Set)
	add("businessUnit", in.BusinessUnit.Set)
	add("assignedUserId", in.AssignedUserID.Set)
	add("routing", r.Mode.Set, r.RingStrategy.Set, r.ReachBy.Set, r.IncludeGeneralFieldworker.Set, r.RingTimeoutSeconds.Set, r.DialTimeoutSeconds.Set,
		r.AgentTimeoutSeconds.Set, r.CallForwardingNumber.Set, r.ForwardingNumbers.Set, r.AllowTransfer.Set, r.Bridge.Set, r.TeamID.Set,
		r.PreferredUser.Set, r.Screening.Set, r.OpeningHoursID.Set, r.MenuID.Set, r.AfterHours.Action.Set, r.AfterHours.Text.Set, r.AfterHours.AudioID.Set,
		r.AfterHours.Numbers.Set)
	add("usage", in.Usage.InboundCalls.Set, in.Usage.CallerID.Set, in.Usage.Messages.Set)
	add("prompts", p.WelcomeText.Set, p.WelcomeAudioID.Set, p.WelcomeAudioURL.Set, p.FarewellText.Set, p.FarewellAudioID.Set, p.FarewellAudioURL.Set, p.Voice.Set, p.Language.Set)
	add("voicemail", v.IsEnabled.Set, v.GreetingText.Set, v.GreetingAudioID.Set, v.GreetingAudioURL.Set, v.MaxSeconds.Set, v.OwnerID.Set, v.NotifiedUserIDs.Set)
	add("recording", in.Recording.Incoming.Set, in.Recording.Outgoing.Set)
	return out
}
