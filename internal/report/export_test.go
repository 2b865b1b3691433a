package report

// Scanning is the service without its sums: what they are compared with.
func (s *Service) Scanning() *Service {
	x := *s
	x.scans = true
	return &x
}
