package guest

import (
	"encoding/json"
	"time"
)

// Paths inside the guest that the host fills.
const (
	InitPath  = "/init"
	JobPath   = "/job.json" // a Job
	ModuleDir = "/modules"  // kernel modules, loaded in the order of their names
	PortName  = "xdpstack"  // the virtio port of the report
)

// Cards are the names of the two network cards, which are joined by a wire, and Addresses how they are told apart.
var (
	Cards     = [2]string{"nic0", "nic1"}
	Addresses = [2]string{"02:00:00:00:00:10", "02:00:00:00:00:11"}
)

// Job is what the guest is to do.
type Job struct {
	Queues int // of each card; 0 leaves them as the driver has them
	Steps  []Step
}

// Step is one program to run.
type Step struct {
	Args    []string      // the first is the program's path
	Dir     string        // where it runs
	Env     []string      // beside what every step has
	Timeout time.Duration // then it is asked for its goroutines (SIGQUIT), and killed 5 s later; 0 is no bound
}

// Booted is the first thing that the guest reports.
type Booted struct {
	Kernel string
	Uptime float64 // seconds since the kernel started
}

// Ended is how a step ended.
type Ended struct {
	Status   int           // exit status; 128 and the signal's number if a signal ended it; 127 if it could not be started
	TimedOut bool          // it ran past its timeout
	Elapsed  time.Duration // by the guest's clock
	Why      string        // what cannot be said by a status
}

// Encode is the job as the guest reads it.
func (j Job) Encode() []byte { return encode(j) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // none of these types can fail
	}
	return b
}
