package iperf3

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseBytes reads a number of bytes as iperf3 does: K, M, G and T are powers of 1024.
func ParseBytes(s string) (int64, error) { return parseUnit(s, 1024) }

// ParseRate reads a rate in bits per second as iperf3 does: K, M, G and T are powers of 1000.
func ParseRate(s string) (int64, error) { return parseUnit(s, 1000) }

func parseUnit(s string, base float64) (int64, error) {
	digits, unit := s, 1.0
	if n := len(s) - 1; n > 0 {
		if i := strings.IndexByte("KMGT", s[n]&^0x20); i >= 0 {
			for range i + 1 {
				unit *= base
			}
			digits = s[:n]
		}
	}
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(v >= 0) || v*unit > 1<<62 {
		return 0, fmt.Errorf("%q: want a number, with K, M, G or T after it if need be", s)
	}
	return int64(v * unit), nil
}

// Formats are the letters that -f knows; lower case is in bits, upper case in bytes.
const Formats = "kmgtKMGT"

// formatBytes writes an amount in the largest unit that it has one of: "1.05 GBytes".
func formatBytes(v float64) string { return scaled(v, 1024, 'a', "Bytes") }

// formatRate writes bits per second in the unit of -f; with none in the largest that it has one of: "8.96 Gbits/sec".
func formatRate(v float64, format byte) string {
	if format >= 'A' && format <= 'Z' {
		return scaled(v/8, 1024, format|0x20, "Bytes") + "/sec"
	}
	if format == 0 {
		format = 'a'
	}
	return scaled(v, 1000, format, "bits") + "/sec"
}

// scaled writes three digits and a unit.
func scaled(v, base float64, unit byte, name string) string {
	const prefixes = "kmgt"
	i := strings.IndexByte(prefixes, unit)
	if i >= 0 {
		for range i + 1 {
			v /= base
		}
	} else {
		for i = -1; v >= base && i+1 < len(prefixes); i++ {
			v /= base
		}
	}
	prefix := ""
	if i >= 0 {
		prefix = strings.ToUpper(prefixes[i : i+1])
	}
	switch {
	case v < 9.995:
		return fmt.Sprintf("%4.2f %s%s", v, prefix, name)
	case v < 99.95:
		return fmt.Sprintf("%4.1f %s%s", v, prefix, name)
	}
	return fmt.Sprintf("%4.0f %s%s", v, prefix, name)
}
