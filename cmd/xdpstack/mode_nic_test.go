//go:build nic

package main

import (
	"testing"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestNICModeIsTold is TestModeIsTold where there is zero-copy.
func TestNICModeIsTold(t *testing.T) { modeIsTold(t, netlab.ForCards(t, netlab.Config{Name: "mode"})) }
