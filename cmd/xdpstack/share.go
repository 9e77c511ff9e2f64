package main

import (
	"fmt"
	"strconv"
	"strings"
)

// share is a part of a whole on the command line: "0.5%" or "0.005".
type share float64

// Set parses the flag's value.
func (s *share) Set(v string) error {
	digits, percent := strings.CutSuffix(strings.TrimSpace(v), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 1) {
		return fmt.Errorf("want a share such as 0.5%%, or 0.005")
	}
	*s = share(n)
	return nil
}

// Type names the value in the help.
func (s *share) Type() string { return "share" }

// String is "0" for none, which the help does not show as a default.
func (s *share) String() string {
	if *s == 0 {
		return "0"
	}
	return strconv.FormatFloat(float64(*s)*100, 'g', 6, 64) + "%"
}
