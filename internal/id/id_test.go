package id_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"switchboard/internal/id"
)

func TestEveryIDReadsBackAsItIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := id.New(id.Kind(rapid.IntRange(int(id.Organization), int(id.Node)).Draw(t, "kind")))
		y, err := id.Parse(x.String())
		if err != nil || y != x || y.Kind() != x.Kind() {
			t.Fatalf("%s reads as %s: %v", x, y, err)
		}
		var scanned id.ID
		if v, err := x.Value(); err != nil || scanned.Scan(v) != nil || scanned != x {
			t.Fatalf("%s scans as %s: %v", x, scanned, err)
		}
		if id.FromUUID(x.UUID()) != x {
			t.Fatal("the bytes are another id")
		}
	})
}

func TestOtherTextIsNoID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		if x, err := id.Parse(s); err == nil && x.String() != s {
			t.Fatalf("%q reads as %s", s, x)
		}
	})
	good := id.New(id.Call).String()
	for why, s := range map[string]string{
		"empty": "", "no prefix": good[5:], "unknown prefix": "calling" + good[4:], "another kind": "conn" + good[4:],
		"too long": good + "0", "too short": good[:len(good)-1], "upper case": "call_" + "01H455VB4PEX5VSKNK084SN02Q",
		"overflow": "call_8" + good[6:], "a letter that is none": good[:10] + "u" + good[11:],
	} {
		if _, err := id.Parse(s); err == nil {
			t.Errorf("%s: %q was taken", why, s)
		}
	}
}

func TestIDsOfOneProcessSortByAge(t *testing.T) {
	t.Parallel()
	var ids []string
	for range 2000 {
		ids = append(ids, id.New(id.Event).String())
	}
	if !slices.IsSorted(ids) {
		t.Error("an id sorts before an older one")
	}
}

func TestTheZeroIDIsNothing(t *testing.T) {
	t.Parallel()
	var x id.ID
	if v, err := x.Value(); v != nil || err != nil || x.String() != "" || !x.IsZero() {
		t.Errorf("the zero id is %v %q", v, x)
	}
	if err := x.Scan(nil); err != nil || !x.IsZero() {
		t.Error("NULL is not the zero id")
	}
	b, err := json.Marshal(map[string]id.ID{"x": x})
	if err != nil || string(b) != `{"x":""}` {
		t.Errorf("%s %v", b, err)
	}
}

func TestAnIDOfAnotherKindIsRefusedByName(t *testing.T) {
	t.Parallel()
	_, err := id.ParseKind(id.New(id.PhoneNumber).String(), id.Call)
	if err == nil || err.Error() != "this is the id of a num; a call_… id is needed here" {
		t.Errorf("%v", err)
	}
	var x id.ID
	if x.UnmarshalGQL("call_nonsense") == nil || x.UnmarshalGQL(7) == nil {
		t.Error("GraphQL took nonsense")
	}
	y := id.New(id.Call)
	var w bytes.Buffer
	y.MarshalGQL(&w)
	if x.UnmarshalGQL(y.String()) != nil || x != y || w.String() != `"`+y.String()+`"` {
		t.Error("GraphQL changed an id")
	}
}
