package child

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/pprof"
)

// profileVariable tells a child, by its environment, where to write a profile of its processor time.
const profileVariable = "BENCH_CPU_PROFILE"

// Profiled has the child that the command starts write a profile of its processor time to the file, which has to have an absolute path.
// An empty one is none.
func Profiled(cmd *exec.Cmd, file string) {
	if file != "" {
		cmd.Env = append(cmd.Environ(), profileVariable+"="+file)
	}
}

// profiler writes the profile that the parent asked for, if it did.
type profiler struct{ file *os.File }

// begin starts it, once.
func (p *profiler) begin() error {
	name := os.Getenv(profileVariable)
	if name == "" || p.file != nil {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("child: profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return fmt.Errorf("child: profile: %w", err)
	}
	p.file = f
	return nil
}

func (p *profiler) end() error {
	if p.file == nil {
		return nil
	}
	pprof.StopCPUProfile()
	if err := p.file.Close(); err != nil {
		return fmt.Errorf("child: profile: %w", err)
	}
	return nil
}
