package number

import (
	"slices"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/patch"
	"switchboard/internal/phone"
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
	WelcomeText     patch.Field[string]
	WelcomeAudioID  patch.Field[id.ID]
	WelcomeAudioURL patch.Field[string]
	FarewellText    patch.Field[string]
	FarewellAudioID patch.Field[id.ID]
	Voice           patch.Field[string]
	Language        patch.Field[string]
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
		func() error { return n.route(in.Routing, country) },
		func() error { return n.use(in.Usage) },
		func() error { return n.prompt(in.Prompts) },
		func() error { return n.answer(in.Voicemail) },
		func() error { return n.record(in.Recording) },
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
	if in.Mode.Set && n.RoutingMode == RouteTeam {
		return errs.New(errs.Unsupported, "routing to a team is not there yet; choose BRANCH, which rings the people of the number's branch, or LAYERED, which finds the one person responsible").At("routing", "mode")
	}
	if err := choose(in.RingStrategy, &n.RingStrategy, "ringStrategy", RingSimultaneous, RingSequential, RingRoundRobin); err != nil {
		return err
	}
	if in.RingStrategy.Set && n.RingStrategy != RingSimultaneous {
		return errs.New(errs.Unsupported, "ringing people one after another is not there yet; choose SIMULTANEOUS, which rings all at once").At("routing", "ringStrategy")
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

func (n *PhoneNumber) forward(in RoutingUpdate, country string) error {
	read := func(s string, field ...string) (phone.E164, error) {
		e, err := phone.Parse(s, country)
		if err != nil {
			return "", at(err, field...)
		}
		if e == n.E164 {
			return "", errs.New(errs.Invalid, "a number cannot be forwarded to itself; enter another one").At(field...)
		}
		return e, nil
	}
	if in.CallForwardingNumber.Set {
		n.CallForwardingNumber = nil
		if in.CallForwardingNumber.Has() && in.CallForwardingNumber.Value != "" {
			e, err := read(in.CallForwardingNumber.Value, "routing", "callForwardingNumber")
			if err != nil {
				return err
			}
			n.CallForwardingNumber = &e
		}
	}
	if !in.ForwardingNumbers.Set {
		return nil
	}
	if len(in.ForwardingNumbers.Value) > maxForwarding {
		return errs.New(errs.LimitReached, "a number has %d forwarding numbers at most", maxForwarding).At("routing", "forwardingNumbers")
	}
	out := []phone.E164{}
	for _, s := range in.ForwardingNumbers.Value {
		e, err := read(s, "routing", "forwardingNumbers")
		if err != nil {
			return err
		}
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	n.ForwardingNumbers = out
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

func (n *PhoneNumber) prompt(in PromptUpdate) error {
	if err := changeText(in.WelcomeText, &n.WelcomeText, maxSpoken, "prompts", "welcomeText"); err != nil {
		return err
	}
	if err := changeText(in.FarewellText, &n.FarewellText, maxSpoken, "prompts", "farewellText"); err != nil {
		return err
	}
	if in.WelcomeAudioID.Set && in.WelcomeAudioURL.Set {
		return errs.New(errs.Invalid, "give the audio by its id or by its address, not both").At("prompts", "welcomeAudioUrl")
	}
	if err := changeID(in.WelcomeAudioID, &n.WelcomeAudioID, AudioID, "prompts", "welcomeAudioId"); err != nil {
		return err
	}
	if in.WelcomeAudioURL.Null {
		n.WelcomeAudioID = id.ID{}
	}
	if err := changeID(in.FarewellAudioID, &n.FarewellAudioID, AudioID, "prompts", "farewellAudioId"); err != nil {
		return err
	}
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

func (n *PhoneNumber) answer(in VoicemailUpdate) (err error) {
	if err := need(in.IsEnabled, &n.VoicemailEnabled, "voicemail", "isEnabled"); err != nil {
		return err
	}
	if err := changeText(in.GreetingText, &n.VoicemailGreetingText, maxSpoken, "voicemail", "greetingText"); err != nil {
		return err
	}
	if in.GreetingAudioID.Set && in.GreetingAudioURL.Set {
		return errs.New(errs.Invalid, "give the audio by its id or by its address, not both").At("voicemail", "greetingAudioUrl")
	}
	if err := changeID(in.GreetingAudioID, &n.VoicemailGreetingAudioID, AudioID, "voicemail", "greetingAudioId"); err != nil {
		return err
	}
	if in.GreetingAudioURL.Null {
		n.VoicemailGreetingAudioID = id.ID{}
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
		r.AgentTimeoutSeconds.Set, r.CallForwardingNumber.Set, r.ForwardingNumbers.Set, r.AllowTransfer.Set, r.Bridge.Set)
	add("usage", in.Usage.InboundCalls.Set, in.Usage.CallerID.Set, in.Usage.Messages.Set)
	add("prompts", p.WelcomeText.Set, p.WelcomeAudioID.Set, p.WelcomeAudioURL.Set, p.FarewellText.Set, p.FarewellAudioID.Set, p.Voice.Set, p.Language.Set)
	add("voicemail", v.IsEnabled.Set, v.GreetingText.Set, v.GreetingAudioID.Set, v.GreetingAudioURL.Set, v.MaxSeconds.Set, v.OwnerID.Set, v.NotifiedUserIDs.Set)
	add("recording", in.Recording.Incoming.Set, in.Recording.Outgoing.Set)
	return out
}
