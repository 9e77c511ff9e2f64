package veth

import (
	"github.com/xdpstack/xdpstack/bench/internal/result"
)

// Further figures of a run.
const (
	// PerServerCPU is the work done per second of processor time that the server and the threads that receive for it used. Only a
	// laboratory with such threads has it.
	PerServerCPU = "per server CPU s"
	// PerClientCPU is the same of the client.
	PerClientCPU = "per client CPU s"
	// PerKick is how many frames moved for each system call that woke the kernel.
	PerKick = "frames/kick"
	// CPUPerFrame is the time of the processor that the measured end is bound to, interrupts included, for a frame, in ns.
	CPUPerFrame = "CPU ns/frame"
	// BothPerFrame is that of both ends together, and ProcessPerFrame that of the measured end's process alone.
	BothPerFrame    = "both ends' CPU ns/frame"
	ProcessPerFrame = "process ns/frame"
)

// PerSenderCPU is how many millions of frames have arrived for each second of processor time of who sent them: of its process, with
// what the kernel did there, receiving at the other end included, and of the kernel thread that goes on with that if it is much
// (ksoftirqd).
const PerSenderCPU = "M/sender CPU s"

// perFrame are the figures of processor time for each of so many frames, where the two ends have processors of their own.
func (r *Runner) perFrame(run *result.Run, frames float64) map[string]float64 {
	extra := make(map[string]float64)
	if frames == 0 {
		return extra
	}
	if r.ServerCPU != r.ClientCPU {
		extra[CPUPerFrame] = run.Server.Core * 1e9 / frames
	}
	extra[BothPerFrame] = run.Busy * 1e9 / frames
	extra[ProcessPerFrame] = run.Server.Process * 1e9 / frames
	return extra
}
