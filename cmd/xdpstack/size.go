package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is a number of bytes on the command line: "1GiB", "500M", "4096".
type size int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30}, {"TIB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40}, {"B", 1}, {"", 1},
}

// Set parses the flag's value.
func (s *size) Set(v string) error {
	upper := strings.ToUpper(strings.TrimSpace(v))
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(upper, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || !(n >= 0) || n*float64(u.bytes) > 1<<62 {
			break
		}
		*s = size(n * float64(u.bytes))
		return nil
	}
	return fmt.Errorf("want a number of bytes such as 64MiB or 2GB")
}

// Type names the value in the help.
func (s *size) Type() string { return "size" }

// String is "0" for none, which the help does not show as a default.
func (s *size) String() string {
	if *s == 0 {
		return "0"
	}
	return formatBytes(int64(*s))
}

// formatBytes writes a number of bytes with a binary unit.
func formatBytes(n int64) string {
	const units = "KMGT"
	for i := len(units) - 1; i >= 0; i-- {
		if unit := int64(1) << (10 * (i + 1)); n >= unit {
			if n%unit == 0 {
				return fmt.Sprintf("%d%ciB", n/unit, units[i])
			}
			return fmt.Sprintf("%.1f%ciB", float64(n)/float64(unit), units[i])
		}
	}
	return fmt.Sprintf("%dB", n)
}
