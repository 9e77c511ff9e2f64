package doctor

// Level is how much a finding matters.
type Level string

// The levels of a finding.
const (
	OK   Level = "ok"   // as it should be
	Note Level = "note" // works, and could work better
	Warn Level = "warn" // works in part, or slowly
	Fail Level = "fail" // xdpstack does not work like this
)

// Finding is one fact about the machine or the interface.
type Finding struct {
	Subject string `json:"subject"`          // what was looked at
	Level   Level  `json:"level"`            // verdict
	Fact    string `json:"fact"`             // what was found
	Cure    string `json:"advice,omitempty"` // what to do about it, empty if nothing
}

// Worst returns the gravest level among the findings.
func Worst(findings []Finding) Level {
	rank := map[Level]int{OK: 0, Note: 1, Warn: 2, Fail: 3}
	worst := OK
	for _, f := range findings {
		if rank[f.Level] > rank[worst] {
			worst = f.Level
		}
	}
	return worst
}

// Machine returns the findings about this machine, whatever the interface.
func Machine() []Finding {
	caps, capsErr := effectiveCapabilities()
	return []Finding{
		judgeKernel(kernelRelease()),
		judgeSocket(openXDPSocket()),
		judgeBPF(probeBPF()),
		judgeCapabilities(caps, capsErr),
		judgeMemlock(memlockLimit(), caps),
		judgeMemory(readMeminfo()),
		judgeHugePages(freeHugePages()),
		judgeJIT(readJIT()),
		judgeCPUs(cpus()),
	}
}
