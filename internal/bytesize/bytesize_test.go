package bytesize

import "testing"

func TestSize(t *testing.T) {
	for in, want := range map[string]Size{
		"0": 0, "4096": 4096, "1GiB": 1 << 30, "1g": 1 << 30, "500M": 500 << 20, "2GB": 2e9, "1.5KiB": 1536, " 7 B ": 7,
	} {
		var s Size
		if err := s.Set(in); err != nil || s != want {
			t.Errorf("%q is %d, %v, want %d", in, s, err, want)
		}
	}
	for _, in := range []string{"", "x", "-1", "1XiB", "9999999TiB", "NaN"} {
		var s Size
		if err := s.Set(in); err == nil {
			t.Errorf("%q is %d, want an error", in, s)
		}
	}
	for in, want := range map[Size]string{0: "0", 1023: "1023B", 1 << 30: "1GiB", 1536: "1.5KiB"} {
		if in.String() != want {
			t.Errorf("%d is written %q, want %q", int64(in), in.String(), want)
		}
	}
}
