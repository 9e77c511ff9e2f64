package demo

// Progress is told how a job goes on.
type Progress interface {
	// Start begins a job of so many units, "B" for bytes. A total of 0 is not known beforehand.
	Start(name string, total int64, unit string) Step
}

// Step is one job's progress. Add may be called from any goroutine.
type Step interface {
	Add(n int64)
	Done(summary string)
	Fail(err error)
}
