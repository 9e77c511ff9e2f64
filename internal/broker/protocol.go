package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/fdpass"
)

// version is that of the protocol: one request, then an answer, which an afxdp.Handover follows if it has no error. Nothing is sent after
// that; the end of the connection is the end of the interface.
const version = 1

// requestLimits bound what a client sends.
var requestLimits = fdpass.Limits{Body: 64 << 10}

// answerLimits bound what a broker sends before the interface.
var answerLimits = fdpass.Limits{Body: 64 << 10}

// Request is what a client asks for.
type Request struct {
	Version   int             `json:"version"`
	Interface string          `json:"interface"`
	Addresses []addrset.Range `json:"addresses"` // that the client is going to take
	Options   afxdp.Options   `json:"options"`
	Steer     bpf.Config      `json:"steer"`

	queues int // that the interface has, as far as it is known
}

// answer is what a broker says.
type answer struct {
	Error string `json:"error,omitempty"` // why not; empty: the interface follows
}

// parse reads a request. Everything in it is still to be checked against the policy.
func parse(body []byte) (*Request, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	r := &Request{}
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the request goes on after its end")
	}
	if len(r.Addresses) > 256 || len(r.Options.Queues) > 1024 || len(r.Interface) > 15 {
		return nil, errors.New("the request has more addresses, queues or letters than there can be")
	}
	return r, nil
}
