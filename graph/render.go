package graph

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"switchboard/graph/model"
	"switchboard/internal/access"
	"switchboard/internal/delivery"
	"switchboard/internal/errs"
	"switchboard/internal/event"
	"switchboard/internal/id"
)

// Renderer shows events to machines, as their actors would see them here.
type Renderer struct {
	r         *Resolver
	exec      *executor.Executor
	documents map[string]string // by type
}

// prepared is the query cache that gqlgen's executor asks; all there is was read at
// the start.
type prepared map[string]*ast.QueryDocument

// Get implements graphql.Cache.
func (p prepared) Get(_ context.Context, text string) (*ast.QueryDocument, bool) {
	doc, ok := p[text]
	return doc, ok
}

// Add implements graphql.Cache.
func (prepared) Add(context.Context, string, *ast.QueryDocument) {}

// Renderer makes one. A type is shown by a document made of the schema: what the
// contract says of it by itself, so whatever is added there is shown. It panics when
// such a document is not valid: they depend on nothing but the schema.
func (r *Resolver) Renderer() *Renderer {
	executable, read := r.Executable(), prepared{}
	x := &Renderer{r: r, exec: executor.New(executable), documents: map[string]string{}}
	x.exec.SetQueryCache(read)
	for _, e := range r.Extensions() {
		x.exec.Use(e)
	}
	schema := executable.Schema()
	for _, t := range schema.GetPossibleTypes(schema.Types["Node"]) {
		text := "query($id: ID!) { node(id: $id) { ... on " + t.Name + " " + plainFields(schema, t, 2) + " } }"
		x.documents[t.Name], read[text] = text, gqlparser.MustLoadQueryWithRules(schema, text, rules.NewDefaultRules())
	}
	return x
}

// plainFields selects what a type says by itself: its values, the ids of other
// things, and the parts that are nothing by themselves. Lists that grow, what needs
// a permission of its own, and addresses, which are made for who asks, are left out.
func plainFields(schema *ast.Schema, t *ast.Definition, depth int) string {
	var b strings.Builder
	for _, f := range t.Fields {
		under := schema.Types[f.Type.Name()]
		switch {
		case strings.HasPrefix(f.Name, "__"), len(f.Arguments) > 0, f.Directives.ForName("can") != nil,
			strings.HasSuffix(strings.ToLower(f.Name), "url"):
		case under.Kind == ast.Scalar, under.Kind == ast.Enum:
			b.WriteString(f.Name + " ")
		case under.Kind != ast.Object:
		case under.Fields.ForName("id") != nil && (depth == 1 || isNode(under)):
			b.WriteString(f.Name + " { id } ")
		case depth > 1 && !strings.HasSuffix(under.Name, "Connection"):
			if inner := plainFields(schema, under, depth-1); inner != "{ }" {
				b.WriteString(f.Name + " " + inner + " ")
			}
		}
	}
	return "{ " + b.String() + "}"
}

func isNode(t *ast.Definition) bool {
	for _, i := range t.Interfaces {
		if i == "Node" {
			return true
		}
	}
	return false
}

// nodeTypes are the types of what node gives.
var nodeTypes = map[id.Kind]string{
	id.Organization: "Organization", id.User: "User", id.Role: "Role", id.Device: "Device", id.APIKey: "ApiKey", id.Contact: "Contact",
	id.Campaign: "Campaign", id.Record: "Record", id.RecordEvent: "RecordEvent", id.Branch: "Branch", id.Team: "Team", id.Schedule: "OpeningHours",
	id.Menu: "Menu", id.IgnoredNumber: "IgnoredNumber", id.PhoneNumber: "PhoneNumber", id.Connection: "TwilioConnection", id.Upload: "Audio",
	id.Call: "Call", id.SIPDomain: "SipDomain", id.DropMessage: "DropMessage", id.MaskedPair: "MaskedPair", id.Recording: "Recording",
	id.Voicemail: "Voicemail", id.Thread: "SmsThread", id.Message: "Message",
	id.Template: "MessageTemplate", id.Bulk: "BulkMessage", id.Automation: "Automation", id.AutomationRun: "AutomationRun",
	id.FollowUp: "FollowUp", id.Notification: "Notification", id.PushSubscription: "PushSubscription",
	id.Transcript: "Transcript", id.TranscriptNote: "TranscriptNote",
	id.WebhookEndpoint: "WebhookEndpoint", id.Finding: "Finding", id.Audit: "AuditEntry", id.Import: "ContactImport", id.CostCap: "CostCap",
	id.Export: "Export", id.LegalHold: "LegalHold", id.RetentionRule: "RetentionRule", id.RetentionRun: "RetentionRun",
}

// Show reads an event and its subject as the actor may see them now.
func (x *Renderer) Show(ctx context.Context, who access.Actor, e event.Event) (out delivery.Shown, err error) {
	defer errs.Wrap(&err, "graph.Show(%s)", e.ID)
	ctx = access.With(ctx, who)
	told, visible, err := x.r.tell(ctx, e)
	if err != nil {
		return delivery.Shown{}, err
	}
	out = delivery.Shown{Visible: visible, Subject: nodeTypes[e.Subject.Kind()], Facts: facts(told)}
	if visible && out.Subject != "" {
		out.Data, err = x.node(ctx, e.Subject, out.Subject)
	}
	return out, err
}

// facts is what an event says beside its subject.
func facts(e model.Event) map[string]any {
	switch e := e.(type) {
	case *model.RingStarted:
		return map[string]any{"legId": e.LegID}
	case *model.RingEnded:
		return map[string]any{"legId": e.LegID}
	case *model.CallNoticed:
		return map[string]any{"notice": e.Notice.Code}
	case *model.FollowUpUpdated:
		return map[string]any{"change": e.Change}
	case *model.RecordEventAdded:
		return map[string]any{"eventId": e.EventID}
	}
	return map[string]any{}
}

// node is an object as the API gives it; nil when there is none for the actor. What
// is refused in it is null, as in any answer.
func (x *Renderer) node(ctx context.Context, subject id.ID, of string) (json.RawMessage, error) {
	ctx = graphql.StartOperationTrace(ctx)
	oc, problems := x.exec.CreateOperationContext(ctx, &graphql.RawParams{Query: x.documents[of], Variables: map[string]any{"id": subject.String()}})
	if len(problems) > 0 {
		return nil, problems
	}
	next, ctx := x.exec.DispatchOperation(ctx, oc)
	answer := next(ctx)
	for _, p := range answer.Errors {
		if code := errs.CodeOf(p.Err); code != errs.Forbidden && code != errs.NotFound {
			return nil, fmt.Errorf("%s: %w", p.Path, p)
		}
	}
	var data struct{ Node json.RawMessage }
	if err := json.Unmarshal(answer.Data, &data); err != nil || string(data.Node) == "null" {
		return nil, err
	}
	return data.Node, nil
}
