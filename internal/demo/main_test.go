package demo_test

import (
	"testing"

	"switchboard/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }
