package load

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	maxWeight = 1000
	maxTurns  = 1 << 16 // of all targets together
)

// rotation returns the targets' numbers in an order that gives each as many turns as its weight, as evenly as that goes: in each turn
// all gain their weight, and who has most loses the sum.
func rotation(targets []Target) ([]uint16, error) {
	weights, sum := make([]int, len(targets)), 0
	for i, t := range targets {
		weights[i] = max(t.Weight, 1)
		sum += weights[i]
	}
	if sum > maxTurns {
		return nil, fmt.Errorf("%w: the weights of all targets are %d together, more than %d", ErrConfig, sum, maxTurns)
	}
	order, credit := make([]uint16, 0, sum), make([]int, len(targets))
	for range sum {
		best := 0
		for i, w := range weights {
			if credit[i] += w; credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= sum
		order = append(order, uint16(best))
	}
	return order, nil
}

// content returns the order of the targets, and what is sent to each.
func (c *Config) content() (order []uint16, requests [][]byte, err error) {
	if order, err = rotation(c.Targets); err != nil {
		return nil, nil, err
	}
	requests = make([][]byte, len(c.Targets))
	for i := range c.Targets {
		if requests[i] = c.Payload; c.Protocol == HTTP {
			if requests[i], err = c.Request.build(&c.Targets[i], c.Mode == Connections && !c.Reset); err != nil {
				return nil, nil, err
			}
		}
	}
	return order, requests, nil
}

// build returns the bytes of a request to a target. last: the target is to close the connection after the response.
func (r *Request) build(t *Target, last bool) ([]byte, error) {
	path, host := t.Path, t.Host
	setDefault(&path, "/")
	if host == "" {
		host = hostField(t.Addr)
	}
	if !isToken(r.Method) || r.Method == "CONNECT" {
		return nil, fmt.Errorf("%w: the method %q", ErrConfig, r.Method)
	}
	if path[0] != '/' || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return nil, fmt.Errorf("%w: the path %q must begin with a slash, and have blanks and what is not ASCII encoded (%%20)", ErrConfig,
			path)
	}
	b := append(make([]byte, 0, 256+len(r.Body)), r.Method+" "+path+" HTTP/1.1\r\n"...)
	var fields []Field
	for _, f := range r.Header {
		switch strings.ToLower(f.Name) {
		case "host":
			host = f.Value
			continue
		case "content-length", "transfer-encoding", "connection", "expect", "upgrade":
			return nil, fmt.Errorf("%w: the field %s is the generator's own", ErrConfig, f.Name)
		}
		fields = append(fields, f)
	}
	fields = append([]Field{{"Host", host}}, fields...)
	if len(r.Body) > 0 || r.Method == "POST" || r.Method == "PUT" {
		fields = append(fields, Field{"Content-Length", strconv.Itoa(len(r.Body))})
	}
	if last {
		fields = append(fields, Field{"Connection", "close"})
	}
	for _, f := range fields {
		if !isToken(f.Name) || strings.ContainsFunc(f.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return nil, fmt.Errorf("%w: the header field %q: %q", ErrConfig, f.Name, f.Value)
		}
		b = append(b, f.Name+": "+f.Value+"\r\n"...)
	}
	return append(append(b, "\r\n"...), r.Body...), nil
}

// hostField is what the Host field says of an address (RFC 9110 section 7.2): without the port that is HTTP's own.
func hostField(a netip.AddrPort) string {
	if a.Port() == 80 {
		return a.Addr().String()
	}
	return a.String()
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}
