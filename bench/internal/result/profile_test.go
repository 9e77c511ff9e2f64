package result

import (
	"slices"
	"testing"
)

func TestRank(t *testing.T) {
	p := Profile{Seconds: 4}
	p.Rank(map[string]float64{
		"github.com/xdpstack/xdpstack/tcp.(*flowTable[go.shape.struct { a/b.C }]).find": 1, "b": 0.5, "a": 0.5, "least": 0.1,
	}, 3)
	want := []Function{{"tcp.(*flowTable[…]).find", 0.25}, {"a", 0.125}, {"b", 0.125}}
	if !slices.Equal(p.Top, want) {
		t.Errorf("%v, want %v", p.Top, want)
	}
}
