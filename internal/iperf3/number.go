package iperf3

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Number is a count in JSON that C wrote: a whole number of 64 bits, or a floating-point one. What is beyond the range is its end; 2^64-1,
// which iperf3 sends for a count that it does not have, is -1.
type Number int64

// UnmarshalJSON takes any number.
func (n *Number) UnmarshalJSON(b []byte) error {
	if v, err := strconv.ParseInt(string(b), 10, 64); err == nil {
		*n = Number(v)
		return nil
	}
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	switch {
	case err != nil && math.IsInf(f, 0): // too large to be one
	case err != nil:
		return fmt.Errorf("%.40q is not a number", b)
	}
	switch {
	case f >= 1<<64-1024:
		*n = -1
	case f >= 1<<63:
		*n = math.MaxInt64
	case f < -(1 << 63):
		*n = math.MinInt64
	default:
		*n = Number(f)
	}
	return nil
}

// Flag is an option in JSON, which iperf3 writes as true or as 1.
type Flag bool

// UnmarshalJSON takes a boolean or a number.
func (f *Flag) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case bool:
		*f = Flag(v)
	case float64:
		*f = v != 0
	case nil:
	default:
		return fmt.Errorf("%.40q is neither true nor false", b)
	}
	return nil
}
