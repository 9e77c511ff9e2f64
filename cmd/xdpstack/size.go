package main

import "github.com/xdpstack/xdpstack/internal/bytesize"

// size is a number of bytes on the command line: "1GiB", "500M", "4096".
type size = bytesize.Size

// formatBytes writes a number of bytes with a binary unit.
func formatBytes(n int64) string { return bytesize.Format(n) }

// sizeText is a flag of a size that keeps it as it was typed.
type sizeText struct{ text string }

// Set checks the flag's value.
func (s *sizeText) Set(v string) error {
	var n size
	s.text = v
	return n.Set(v)
}

// Type names the value in the help.
func (s *sizeText) Type() string { return "size" }

func (s *sizeText) String() string { return s.text }
