package ss

import (
	"strings"

	"github.com/xdpstack/xdpstack/stack"
	"github.com/xdpstack/xdpstack/tcp"
)

// States is a set of states of connections, a bit for each tcp.State. UDP sockets are in ESTABLISHED or CLOSED.
type States uint16

func oneState(s tcp.State) States { return 1 << s }

// The sets that have names.
const (
	StatesAll       States = 1<<(tcp.StateTimeWait+1) - 1
	statesConnected        = StatesAll &^ (1<<tcp.StateListen | 1<<tcp.StateClosed)
	statesBucket    States = 1<<tcp.StateSynReceived | 1<<tcp.StateTimeWait

	// StatesOpen is what ss shows unless told otherwise, StatesListening what it shows with -l.
	StatesOpen             = StatesAll &^ (statesBucket | StatesListening)
	StatesListening States = 1<<tcp.StateListen | 1<<tcp.StateClosed
)

// stateNames are the names in filters, in the order in which they are offered.
var stateNames = []struct {
	name string
	set  States
}{
	{"established", oneState(tcp.StateEstablished)},
	{"syn-sent", oneState(tcp.StateSynSent)},
	{"syn-recv", oneState(tcp.StateSynReceived)},
	{"fin-wait-1", oneState(tcp.StateFinWait1)},
	{"fin-wait-2", oneState(tcp.StateFinWait2)},
	{"time-wait", oneState(tcp.StateTimeWait)},
	{"closed", oneState(tcp.StateClosed)},
	{"close-wait", oneState(tcp.StateCloseWait)},
	{"last-ack", oneState(tcp.StateLastAck)},
	{"listening", oneState(tcp.StateListen)},
	{"closing", oneState(tcp.StateClosing)},
	{"all", StatesAll},
	{"connected", statesConnected},
	{"synchronized", statesConnected &^ oneState(tcp.StateSynSent)},
	{"bucket", statesBucket},
	{"big", StatesAll &^ statesBucket},
	{"listen", oneState(tcp.StateListen)},
	{"unconnected", oneState(tcp.StateClosed)},
}

// StateNames returns the names of sets of states.
func StateNames() (names []string) {
	for _, s := range stateNames {
		names = append(names, s.name)
	}
	return names
}

// namedStates returns the set of a name.
func namedStates(name string) (States, bool) {
	for _, s := range stateNames {
		if strings.EqualFold(s.name, name) {
			return s.set, true
		}
	}
	return 0, false
}

// columns are the names of the states in ss's output.
var columns = [...]string{
	tcp.StateClosed: "UNCONN", tcp.StateListen: "LISTEN", tcp.StateSynSent: "SYN-SENT", tcp.StateSynReceived: "SYN-RECV",
	tcp.StateEstablished: "ESTAB", tcp.StateFinWait1: "FIN-WAIT-1", tcp.StateFinWait2: "FIN-WAIT-2", tcp.StateCloseWait: "CLOSE-WAIT",
	tcp.StateClosing: "CLOSING", tcp.StateLastAck: "LAST-ACK", tcp.StateTimeWait: "TIME-WAIT",
}

// kinds returns what has to be walked through for the states.
func (s States) kinds(tcpToo, udpToo bool) (k stack.ConnKinds) {
	if udpToo && s&(oneState(tcp.StateEstablished)|oneState(tcp.StateClosed)) != 0 {
		k |= stack.KindUDP
	}
	if !tcpToo {
		return k
	}
	if s&statesConnected&^oneState(tcp.StateTimeWait) != 0 {
		k |= stack.KindConn
	}
	if s&oneState(tcp.StateSynReceived) != 0 {
		k |= stack.KindHalfOpen
	}
	if s&oneState(tcp.StateTimeWait) != 0 {
		k |= stack.KindTimeWait
	}
	if s&oneState(tcp.StateListen) != 0 {
		k |= stack.KindListener
	}
	return k
}
