package result

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Profile says what our process was busy with, in a turn of its own that was not measured.
type Profile struct {
	File    string     `json:"file"`    // in the format of pprof
	Seconds float64    `json:"seconds"` // of processor time that was sampled
	Top     []Function `json:"top"`     // those that had most of it, themselves
}

// Function is one function's own part of a profile.
type Function struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"` // of the whole
}

// Rank notes the first n functions by their seconds. A function's line is the innermost: what was inlined counts for itself.
func (p *Profile) Rank(seconds map[string]float64, n int) {
	names := slices.SortedFunc(maps.Keys(seconds), func(a, b string) int {
		return cmp.Or(cmp.Compare(seconds[b], seconds[a]), strings.Compare(a, b))
	})
	for _, name := range names[:min(n, len(names))] {
		p.Top = append(p.Top, Function{short(name), seconds[name] / p.Seconds})
	}
}

// short is a function's name without the module and what a generic one was made for.
func short(name string) string {
	if i, j := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']'); 0 <= i && i < j {
		name = name[:i] + "[…]" + name[j+1:]
	}
	return strings.TrimPrefix(name, "github.com/xdpstack/xdpstack/")
}
