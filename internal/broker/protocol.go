package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/fdpass"
)

// version is that of the protocol: one request, then an answer, which an afxdp.Handover follows if it has no error. After that a client
// in shared-address mode may ask for ports, one at a time: a portRequest, then an answer, with one file, a bound socket, if it has no
// error. The end of the connection is the end of the interface.
const version = 2

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

// portRequest asks for a port of the kernel's.
type portRequest struct {
	Protocol uint8      `json:"protocol"` // IPPROTO_TCP or IPPROTO_UDP
	Address  netip.Addr `json:"address"`  // 0.0.0.0: of all
	Port     uint16     `json:"port"`
}

// portLimits bound a portRequest.
var portLimits = fdpass.Limits{Body: 1 << 10}

// answer is what a broker says.
type answer struct {
	Error string `json:"error,omitempty"` // why not; empty: the interface follows
}

// decode reads one JSON value, and nothing else.
func decode(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return fmt.Errorf("the request cannot be read: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the request goes on after its end")
	}
	return nil
}

// parse reads a request. Everything in it is still to be checked against the policy.
func parse(body []byte) (*Request, error) {
	r := &Request{}
	if err := decode(body, r); err != nil {
		return nil, err
	}
	if len(r.Addresses) > 256 || len(r.Options.Queues) > 1024 || len(r.Interface) > 15 {
		return nil, errors.New("the request has more addresses, queues or letters than there can be")
	}
	return r, nil
}
