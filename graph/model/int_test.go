package model_test

import (
	"encoding/json"
	"testing"

	"switchboard/graph/model"
)

func TestAnIntHas32Bits(t *testing.T) {
	t.Parallel()
	for text, fits := range map[string]bool{"0": true, "-2147483648": true, "2147483647": true, "2147483648": false, "-2147483649": false, "9223372036854775807": false, "1.5": false} {
		if _, err := model.UnmarshalInt(json.Number(text)); (err == nil) != fits {
			t.Errorf("%s: %v", text, err)
		}
	}
}
