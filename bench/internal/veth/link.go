package veth

import (
	"fmt"
	"net"
	"strings"

	"github.com/safchain/ethtool"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// features are the offloads that matter here, with the names that people know them by.
var features = []struct{ name, known string }{
	{"tx-checksum-ip-generic", "TX checksum"}, {"tx-tcp-segmentation", "TSO"}, {"tx-generic-segmentation", "GSO"}, {"rx-gro", "GRO"},
	{"rx-checksum", "RX checksum"},
}

// describeLink says how both ends of the link are set up, as they are while the programs of both sides are attached: attaching one
// changes what the other end offers.
func describeLink(lab *netlab.Lab) string {
	server, client := describeEnd(lab.Stack), describeEnd(lab.Kernel)
	if server == client {
		return "both ends: " + server
	}
	return "server's end: " + server + "; client's end: " + client
}

func describeEnd(side *netlab.Side) string {
	var on, off []string
	var mtu int
	err := side.Do(func() error {
		iface, err := net.InterfaceByName(side.Interface)
		if err != nil {
			return err
		}
		mtu = iface.MTU
		tool, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer tool.Close()
		set, err := tool.Features(side.Interface)
		for _, f := range features {
			if set[f.name] {
				on = append(on, f.known)
			} else {
				off = append(off, f.known)
			}
		}
		return err
	})
	if err != nil {
		return "unknown: " + err.Error()
	}
	s := fmt.Sprintf("MTU %d", mtu)
	if len(on) > 0 {
		s += ", " + strings.Join(on, ", ") + " on"
	}
	if len(off) > 0 {
		s += ", " + strings.Join(off, ", ") + " off"
	}
	return s
}
