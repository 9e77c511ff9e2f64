package netdev

import (
	"encoding/json"
	"fmt"
	"strings"
)

// unknownBit is set, alone, in a set of features that the kernel does not tell.
const unknownBit = 1 << 63

// XDPFeatures are what a driver does for XDP (xdp-act).
type XDPFeatures uint64

// The features.
const (
	XDPBasic         XDPFeatures = 1 << iota // it runs XDP programs itself
	XDPRedirect                              // it redirects frames, to AF_XDP sockets for example
	XDPTransmit                              // it sends frames that were redirected to it
	XDPZeroCopy                              // AF_XDP sockets may be bound with zero-copy
	XDPOffload                               // the hardware runs XDP programs
	XDPReceiveMulti                          // it receives frames of several buffers
	XDPTransmitMulti                         // it sends redirected frames of several buffers

	XDPUnknown XDPFeatures = unknownBit // the kernel does not tell
)

var xdpNames = []string{"basic", "redirect", "ndo-xmit", "xsk-zerocopy", "hw-offload", "rx-sg", "ndo-xmit-sg"}

// RxMetadata is what a driver tells an XDP program about a received packet (xdp-rx-metadata).
type RxMetadata uint64

// The metadata. What an XDP program must call for each is bpf_xdp_metadata_rx_timestamp, …_rx_hash and …_rx_vlan_tag.
const (
	RxTimestamp RxMetadata = 1 << iota // when the device received it
	RxHash                             // the device's hash of its addresses and ports
	RxVLANTag                          // the VLAN tag that the device took off

	RxMetadataUnknown RxMetadata = unknownBit
)

var rxNames = []string{"timestamp", "hash", "vlan-tag"}

// XSKFeatures are what a driver does for a transmitted AF_XDP frame that has metadata, with zero-copy (xsk-flags). In copy mode
// the kernel does tx-checksum itself where the driver cannot.
type XSKFeatures uint64

// The features.
const (
	TxTimestamp  XSKFeatures = 1 << iota // says when the device sent it
	TxChecksum                           // fills in its checksum
	TxLaunchTime                         // sends it at a time that is given, in order

	XSKUnknown XSKFeatures = unknownBit
)

var xskNames = []string{"tx-timestamp", "tx-checksum", "tx-launch-time-fifo"}

// Has reports whether all of want are there. What is unknown is not there.
func (f XDPFeatures) Has(want XDPFeatures) bool { return f&want == want && f.Known() }

// Has reports whether all of want are there. What is unknown is not there.
func (f RxMetadata) Has(want RxMetadata) bool { return f&want == want && f.Known() }

// Has reports whether all of want are there. What is unknown is not there.
func (f XSKFeatures) Has(want XSKFeatures) bool { return f&want == want && f.Known() }

// Known reports whether the kernel tells.
func (f XDPFeatures) Known() bool { return f&unknownBit == 0 }

// Known reports whether the kernel tells.
func (f RxMetadata) Known() bool { return f&unknownBit == 0 }

// Known reports whether the kernel tells.
func (f XSKFeatures) Known() bool { return f&unknownBit == 0 }

// String lists the features by the kernel's names.
func (f XDPFeatures) String() string { return flagsString(uint64(f), xdpNames) }

// String lists the metadata by the kernel's names.
func (f RxMetadata) String() string { return flagsString(uint64(f), rxNames) }

// String lists the features by the kernel's names.
func (f XSKFeatures) String() string { return flagsString(uint64(f), xskNames) }

// MarshalJSON gives a list of names, null if unknown.
func (f XDPFeatures) MarshalJSON() ([]byte, error) {
	return json.Marshal(flagNames(uint64(f), xdpNames))
}

// MarshalJSON gives a list of names, null if unknown.
func (f RxMetadata) MarshalJSON() ([]byte, error) { return json.Marshal(flagNames(uint64(f), rxNames)) }

// MarshalJSON gives a list of names, null if unknown.
func (f XSKFeatures) MarshalJSON() ([]byte, error) {
	return json.Marshal(flagNames(uint64(f), xskNames))
}

// flagNames returns the names of the bits that are set, and a number for one without a name; nil if they are unknown.
func flagNames(flags uint64, names []string) []string {
	if flags&unknownBit != 0 {
		return nil
	}
	all := []string{}
	for bit := range 63 {
		switch {
		case flags&(1<<bit) == 0:
		case bit < len(names):
			all = append(all, names[bit])
		default:
			all = append(all, fmt.Sprint("bit", bit))
		}
	}
	return all
}

func flagsString(flags uint64, names []string) string {
	all := flagNames(flags, names)
	switch {
	case all == nil:
		return "unknown"
	case len(all) == 0:
		return "none"
	}
	return strings.Join(all, " ")
}
