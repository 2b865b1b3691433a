package edge

import (
	"context"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"switchboard/internal/errs"
)

// document is a text that was parsed, measured and validated. It is shared by all
// operations of that text and never written to, so that a compiled plan can be kept
// by the address of its ast.
type document struct {
	ast    *ast.QueryDocument
	shapes map[*ast.OperationDefinition]shape
}

// prepare finds or makes the document of a text. The order is the defence: count the
// bytes, count the tokens, parse, measure, and only then validate.
func (e *Edge) prepare(store *documents, limits *DocumentLimits, text string) (*document, gqlerror.List) {
	if doc := store.get(text); doc != nil {
		return doc, nil
	}
	if len(text) > limits.Bytes {
		return nil, refuse(errs.New(errs.LimitReached, "the document is too long; %d bytes are allowed", limits.Bytes))
	}
	if !fewTokens(text, limits.Tokens) {
		return nil, refuse(tooMuch("tokens", limits.Tokens))
	}
	parsed, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, limits.Tokens+1)
	if err != nil {
		return nil, coded(gqlerror.List{gqlerror.WrapIfUnwrapped(err)}, errcode.ParseFailed)
	}
	if parsed == nil || len(parsed.Operations) == 0 {
		return nil, coded(gqlerror.List{gqlerror.Errorf("the document has no operation")}, errcode.ValidationFailed)
	}
	w := walker{limits: limits}
	shapes, err := w.document(parsed)
	if err != nil {
		return nil, refuse(err)
	}
	if list := validator.ValidateWithRules(e.schema.Schema(), parsed, ruleSet()); len(list) > 0 {
		return nil, coded(list, errcode.ValidationFailed)
	}
	doc := &document{ast: parsed, shapes: shapes}
	store.add(text, doc)
	return doc, nil
}

func fewTokens(text string, limit int) bool {
	l := lexer.New(&ast.Source{Input: text})
	for n := 0; n <= limit; n++ {
		token, err := l.ReadToken()
		if err != nil || token.Kind == lexer.EOF {
			return true // the parser says what is wrong, if anything
		}
	}
	return false
}

// ruleSet is the standard rules, each in the form that names nothing the client has not
// named itself.
func ruleSet() *rules.Rules {
	set := rules.NewDefaultRules()
	for _, quiet := range [...]core.Rule{
		rules.FieldsOnCorrectTypeRuleWithoutSuggestions,
		rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRuleWithoutSuggestions,
		rules.ScalarLeafsRuleWithoutSuggestions,
		rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	} {
		set.ReplaceRule(strings.TrimSuffix(quiet.Name, "WithoutSuggestions"), quiet.RuleFunc)
	}
	return set
}

func coded(list gqlerror.List, code string) gqlerror.List {
	for _, err := range list {
		errcode.Set(err, code)
	}
	return list
}

// refuse is a request error of our own.
func refuse(err error) gqlerror.List { return gqlerror.List{gqlerror.WrapIfUnwrapped(err)} }

type preparedKey struct{}

// prepared is the query cache that gqlgen's executor asks: the document has been put
// into the context by open, so the executor never parses or validates anything itself.
type prepared struct{}

func (prepared) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	doc, ok := ctx.Value(preparedKey{}).(*document)
	if !ok {
		return nil, false
	}
	return doc.ast, true
}

func (prepared) Add(context.Context, string, *ast.QueryDocument) {}

// documents is a cache bounded by count and by bytes.
type documents struct {
	mu    sync.Mutex // guards the rest
	lru   *simplelru.LRU[string, *document]
	bytes int
	most  int
}

func newDocuments(count, bytes int) *documents {
	d := &documents{most: bytes}
	d.lru, _ = simplelru.NewLRU(count, func(text string, _ *document) { d.bytes -= len(text) }) // fails for a count below one only
	return d
}

func (d *documents) get(text string) *document {
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, _ := d.lru.Get(text)
	return doc
}

func (d *documents) add(text string, doc *document) {
	if len(text) > d.most {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lru.Contains(text) { // two clients at once
		return
	}
	d.lru.Add(strings.Clone(text), doc)
	d.bytes += len(text)
	for d.bytes > d.most {
		d.lru.RemoveOldest()
	}
}
