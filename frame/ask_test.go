package frame

import "testing"

func TestAsk(t *testing.T) {
	for start := range uint32(256) {
		for field := range uint32(MaxSumField + 1) {
			a := AskSum(uint8(start), uint8(field))
			if s, f := a.Sum(); s != start || f != field || a.Stamp() {
				t.Fatalf("%d, %d: %d, %d, %v", start, field, s, f, a.Stamp())
			}
			a |= AskStamp
			if s, f := a.Sum(); s != start || f != field || !a.Stamp() {
				t.Fatalf("%d, %d, with time: %d, %d, %v", start, field, s, f, a.Stamp())
			}
		}
	}
	if s, _ := AskStamp.Sum(); s != 0 || AskSum(34, MaxSumField+1) != AskSum(34, 0) {
		t.Error("a sum that nobody asked for, or a field beyond its bits")
	}
}
