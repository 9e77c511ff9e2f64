package main

import (
	"io/fs"
	"path"
	"slices"
	"strings"
)

// configuration is one guest that the suite boots.
type configuration struct {
	name   string // part of the package names in the report
	nic    string
	queues int
}

var configurations = []configuration{
	{"virtio-1q", "virtio", 1},
	{"virtio-2q", "virtio", 2},
	{"igb-1q", "igb", 1},
	{"igb-2q", "igb", 2},
}

// selected is a package, and those of its tests that run in the guests with one queue, and in those with several, beside the
// tests for network cards, whose names begin with TestNIC and which run in all. A test is here because it shows something that
// veth cannot.
type selected struct {
	dir     string
	one     []string
	several []string
}

var selection = []selected{
	// The driver: what every device must do, over the rings, DMA and interrupts of a real one.
	{"afxdp",
		[]string{
			"TestReceive", "TestTransmit", "TestTail", "TestTransmitBurst", "TestReceiveBurst", "TestPoolExhaustion", "TestWake",
			"TestLinkFlap", "TestNoAllocation", "TestReopen", "TestCardDownWithFrames", "TestCardCloseWithFrames", "TestReceiveHints",
		},
		[]string{"TestReceive", "TestTransmit", "TestTwoQueues"},
	},
	// Whole stacks against the TCP of the guest's kernel.
	{"stack",
		[]string{
			"TestKernelTransfers", "TestKernelHTTPClient", "TestDialToKernel", "TestFramesInTransmission", "TestCardLinkLife",
			"TestCardDriverUnbound", "TestStackComputesWithoutMetadata", "TestCardChecksumsInCopyMode",
		},
		[]string{"TestSeveralQueues"},
	},
	// The program in these drivers.
	{"bpf", []string{"TestAttachModes"}, nil},
}

// nicPattern is what a test for network cards is called, and nicFiles what its file is.
const (
	nicPattern = "TestNIC.*"
	nicFiles   = "_nic_test.go"
)

// packages is the selection, and after it the other packages below the root that have tests for network cards.
func packages(root fs.FS) ([]selected, error) {
	all := slices.Clone(selection)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch dir := path.Dir(name); {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."), d.IsDir() && name == "bin":
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, nicFiles) && !slices.ContainsFunc(all, func(s selected) bool { return s.dir == dir }):
			all = append(all, selected{dir: dir})
		}
		return nil
	})
	return all, err
}

// pattern is the value of the flag -run in a guest with so many queues.
func (s selected) pattern(queues int) string {
	names := s.one
	if queues > 1 {
		names = s.several
	}
	return "^(" + strings.Join(append([]string{nicPattern}, names...), "|") + ")$"
}
