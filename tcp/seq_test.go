package tcp

import "testing"

func TestSeqCompare(t *testing.T) {
	const top = Seq(1<<32 - 1)
	for _, c := range []struct {
		a, b Seq
		want int32 // a - b
	}{
		{0, 0, 0},
		{1, 0, 1},
		{0, 1, -1},
		{0, top, 1},
		{top, 0, -1},
		{5, top - 4, 10},
		{1<<31 - 1, 0, 1<<31 - 1},
		{1 << 31, 1, 1<<31 - 1},
		{1<<31 + 1<<30, 1 << 30, -1 << 31},
	} {
		if got := c.a.Sub(c.b); got != c.want {
			t.Errorf("%d.Sub(%d) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := c.a.Less(c.b); got != (c.want < 0) {
			t.Errorf("%d.Less(%d) = %v", c.a, c.b, got)
		}
		if got := c.a.LessEq(c.b); got != (c.want <= 0) {
			t.Errorf("%d.LessEq(%d) = %v", c.a, c.b, got)
		}
		if got := c.a.Greater(c.b); got != (c.want > 0) {
			t.Errorf("%d.Greater(%d) = %v", c.a, c.b, got)
		}
		if got := c.a.GreaterEq(c.b); got != (c.want >= 0) {
			t.Errorf("%d.GreaterEq(%d) = %v", c.a, c.b, got)
		}
		if got := c.b.Add(uint32(c.want)); got != c.a {
			t.Errorf("%d.Add(%d) = %d, want %d", c.b, c.want, got, c.a)
		}
	}
}

func TestSeqInWindow(t *testing.T) {
	const top = Seq(1<<32 - 1)
	for _, c := range []struct {
		s, first Seq
		size     uint32
		want     bool
	}{
		{10, 10, 0, false},
		{10, 10, 1, true},
		{11, 10, 1, false},
		{9, 10, 100, false},
		{109, 10, 100, true},
		{110, 10, 100, false},
		{top, top, 2, true},
		{0, top, 2, true},
		{1, top, 2, false},
		{3, top - 3, 8, true},
		{top - 4, top - 3, 8, false},
	} {
		if got := c.s.InWindow(c.first, c.size); got != c.want {
			t.Errorf("%d.InWindow(%d, %d) = %v", c.s, c.first, c.size, got)
		}
	}
}

func TestTimestampOrderWraps(t *testing.T) {
	if !tsLess(1<<32-1, 0) || tsLess(0, 1<<32-1) || tsLess(7, 7) {
		t.Error("timestamps do not wrap")
	}
}
