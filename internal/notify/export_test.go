package notify

// NewMailerWith makes a Mailer that trusts the roots of a test.
var NewMailerWith = newMailer
