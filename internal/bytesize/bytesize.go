package bytesize

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes: "1GiB", "500M", "4096".
type Size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"TIB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1}, {"", 1},
}

// Set parses the value of a flag.
func (s *Size) Set(v string) error {
	upper := strings.ToUpper(strings.TrimSpace(v))
	for _, u := range units {
		digits, ok := strings.CutSuffix(upper, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || !(n >= 0) || n*float64(u.bytes) > 1<<62 {
			break
		}
		*s = Size(n * float64(u.bytes))
		return nil
	}
	return fmt.Errorf("want a number of bytes such as 64MiB or 2GB")
}

// Type names the value in the help.
func (s *Size) Type() string { return "size" }

// UnmarshalText parses a value in a file.
func (s *Size) UnmarshalText(text []byte) error { return s.Set(string(text)) }

// String is "0" for none, which the help does not show as a default.
func (s *Size) String() string {
	if *s == 0 {
		return "0"
	}
	return Format(int64(*s))
}

// Format writes a number of bytes with a binary unit.
func Format(n int64) string {
	const prefixes = "KMGT"
	for i := len(prefixes) - 1; i >= 0; i-- {
		if unit := int64(1) << (10 * (i + 1)); n >= unit {
			if n%unit == 0 {
				return fmt.Sprintf("%d%ciB", n/unit, prefixes[i])
			}
			return fmt.Sprintf("%.1f%ciB", float64(n)/float64(unit), prefixes[i])
		}
	}
	return fmt.Sprintf("%dB", n)
}
