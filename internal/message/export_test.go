package message

// DieAt has fn called at places of the bulk job where a process may die: after a
// batch was claimed ("claimed"), and after it was handed over ("posted"). An error
// ends the job there and then.
func (s *Service) DieAt(fn func(where string) error) { s.dies = fn }
