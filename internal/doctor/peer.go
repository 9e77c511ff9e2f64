package doctor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// peer is the other end of a veth pair.
type peer struct {
	name      string
	namespace string // its name under /run/netns, empty for the present one
	txSum     bool   // it leaves TCP and UDP checksums to the link, which has nobody to compute them
}

// errPeerHidden says that the peer is in a namespace without a name.
var errPeerHidden = errors.New("the peer is in a namespace that has no name")

// errNoFeatures says that the driver does not tell whether it leaves checksums to the link.
var errNoFeatures = errors.New("its features are not told")

// featureTries is how often a peer's features are asked for.
const featureTries = 5

func findPeer(name string) (peer, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return peer{}, err
	}
	a := link.Attrs()
	if a.NetNsID < 0 {
		return readPeer(a.ParentIndex, "")
	}
	namespace, err := namespaceOf(a.NetNsID)
	if err != nil {
		return peer{}, err
	}
	// A thread of its own, which ends with the goroutine if it cannot come back.
	type result struct {
		p   peer
		err error
	}
	done := make(chan result)
	go func() {
		var r result
		r.p, r.err = peerInside(namespace, a.ParentIndex)
		done <- r
	}()
	r := <-done
	return r.p, r.err
}

// namespaceOf returns the path of the named namespace that has this id in ours.
func namespaceOf(id int) (string, error) {
	paths, err := filepath.Glob("/run/netns/*")
	if err != nil {
		return "", err
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		got, err := netlink.GetNetNsIdByFd(int(f.Fd()))
		f.Close()
		if err == nil && got == id {
			return path, nil
		}
	}
	return "", errPeerHidden
}

// peerInside looks at the peer from within its namespace. The thread stays locked if it cannot be brought back.
func peerInside(path string, index int) (p peer, err error) {
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return p, err
	}
	defer home.Close()
	there, err := netns.GetFromPath(path)
	if err != nil {
		runtime.UnlockOSThread()
		return p, err
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		runtime.UnlockOSThread()
		return p, fmt.Errorf("enter namespace %s: %w", filepath.Base(path), err)
	}
	p, err = readPeer(index, filepath.Base(path))
	if netns.Set(home) == nil {
		runtime.UnlockOSThread()
	}
	return p, err
}

// readPeer looks at an interface of the present namespace.
func readPeer(index int, namespace string) (peer, error) {
	i, err := net.InterfaceByIndex(index)
	if err != nil {
		return peer{}, err
	}
	p := peer{name: i.Name, namespace: namespace}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return p, err
	}
	defer e.Close()
	// The library loses an answer now and then: then the interface seems to have no features at all.
	for range featureTries {
		features, err := e.Features(i.Name)
		if err != nil {
			return p, err
		}
		if on, told := features["tx-checksum-ip-generic"]; told {
			p.txSum = on
			return p, nil
		}
	}
	return p, errNoFeatures
}

func judgePeer(p peer, err error) Finding {
	const cure = "ethtool -K PEER tx off where it is; without that, its TCP and UDP checksums are unfinished and packets are dropped"
	f := Finding{Subject: "veth peer", Level: OK}
	if err != nil {
		f.Level, f.Fact, f.Cure = Note, "unknown: "+err.Error(), cure
		return f
	}
	where, inside := p.name, ""
	if p.namespace != "" {
		where += " in namespace " + p.namespace
		inside = "ip netns exec " + p.namespace + " "
	}
	f.Fact = where + " computes its checksums"
	if p.txSum {
		f.Level, f.Fact = Fail, where+" leaves TCP and UDP checksums to the link, which computes none"
		f.Cure = inside + "ethtool -K " + p.name + " tx off"
	}
	return f
}
