package soak

import "testing"

// Memory that goes up and down with the garbage collector has not grown; what grows steadily has.
func TestMemoryGrown(t *testing.T) {
	var flat, leak Memory
	for i := range int64(300) {
		flat.add(70<<10 + i%3*(30<<10))
		leak.add(70<<10 + i<<9)
	}
	flat.End, leak.End = 90<<10, 100<<10
	if err := flat.grown(); err != nil {
		t.Error(err)
	}
	if err := leak.grown(); err == nil {
		t.Error("no error")
	}
}
