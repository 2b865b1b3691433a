package contact

import (
	"time"

	"github.com/uptrace/bun"

	"switchboard/internal/errs"
	"switchboard/internal/id"
	"switchboard/internal/sheet"
)

// ImportSubject is what the rows of a file are.
type ImportSubject string

// What the rows of a file are.
const (
	ImportsContacts ImportSubject = "CONTACTS"
	ImportsRecords  ImportSubject = "RECORDS"
)

// ImportStatus is where an import stands.
type ImportStatus string

// Where an import stands.
const (
	ImportQueued   ImportStatus = "QUEUED"
	ImportRunning  ImportStatus = "RUNNING"
	ImportDone     ImportStatus = "DONE"
	ImportCanceled ImportStatus = "CANCELED"
	ImportFailed   ImportStatus = "FAILED"
)

// ImportMatch is how a row without an external id finds what it changes.
type ImportMatch string

// How a row without an external id finds what it changes.
const (
	MatchesNothing ImportMatch = "NOTHING"
	MatchesNumber  ImportMatch = "NUMBER"
	MatchesEmail   ImportMatch = "EMAIL"
)

// ImportField is what a column of a file of contacts holds.
type ImportField string

// What a column of a file of contacts holds.
const (
	FieldKind              ImportField = "KIND"
	FieldName              ImportField = "NAME"
	FieldFirstName         ImportField = "FIRST_NAME"
	FieldLastName          ImportField = "LAST_NAME"
	FieldCompany           ImportField = "COMPANY"
	FieldEmail             ImportField = "EMAIL"
	FieldCountry           ImportField = "COUNTRY"
	FieldStatus            ImportField = "STATUS"
	FieldTags              ImportField = "TAGS"
	FieldTimezone          ImportField = "TIMEZONE"
	FieldService           ImportField = "SERVICE"
	FieldLocation          ImportField = "LOCATION"
	FieldExternalID        ImportField = "EXTERNAL_ID"
	FieldPhone             ImportField = "PHONE"
	FieldAssignedUserEmail ImportField = "ASSIGNED_USER_EMAIL"
	FieldAccountExternalID ImportField = "ACCOUNT_EXTERNAL_ID"
)

// RecordImportField is what a column of a file of records holds.
type RecordImportField string

// What a column of a file of records holds.
const (
	RecordFieldKind              RecordImportField = "KIND"
	RecordFieldTitle             RecordImportField = "TITLE"
	RecordFieldStatus            RecordImportField = "STATUS"
	RecordFieldExternalID        RecordImportField = "EXTERNAL_ID"
	RecordFieldContactExternalID RecordImportField = "CONTACT_EXTERNAL_ID"
	RecordFieldContactPhone      RecordImportField = "CONTACT_PHONE"
	RecordFieldContactEmail      RecordImportField = "CONTACT_EMAIL"
	RecordFieldAssignedUserEmail RecordImportField = "ASSIGNED_USER_EMAIL"
	RecordFieldStartsAt          RecordImportField = "STARTS_AT"
	RecordFieldEndsAt            RecordImportField = "ENDS_AT"
	RecordFieldDueAt             RecordImportField = "DUE_AT"
	RecordFieldExpiresAt         RecordImportField = "EXPIRES_AT"
	RecordFieldNextServiceAt     RecordImportField = "NEXT_SERVICE_AT"
	RecordFieldTags              RecordImportField = "TAGS"
	RecordFieldService           RecordImportField = "SERVICE"
	RecordFieldLocation          RecordImportField = "LOCATION"
	RecordFieldAmount            RecordImportField = "AMOUNT"
	RecordFieldCurrency          RecordImportField = "CURRENCY"
	RecordFieldTrackingURL       RecordImportField = "TRACKING_URL"
	RecordFieldURL               RecordImportField = "URL"
	RecordFieldData              RecordImportField = "DATA"
)

// ImportColumn is what a column of the file holds; the field is one of a contact
// or of a record.
type ImportColumn struct {
	Column int    `json:"column"`
	Field  string `json:"field"`
	Key    string `json:"key,omitempty"` // of a field of the business's own
	Header string `json:"header,omitempty"`
}

// Import is a file of contacts or records that is read in the background.
type Import struct {
	bun.BaseModel `bun:"table:contact_import,alias:contact_import"`

	OrganizationID    id.ID          `bun:"organization_id,pk,type:uuid"`
	ID                id.ID          `bun:"id,pk,type:uuid"`
	Subject           ImportSubject  `bun:"subject"`
	Status            ImportStatus   `bun:"status"`
	UploadID          id.ID          `bun:"upload_id,type:uuid,nullzero"`
	FileName          string         `bun:"file_name"`
	Columns           []ImportColumn `bun:"columns,type:jsonb"`
	Kind              *string        `bun:"kind"` // of rows that say none
	UpdateBy          ImportMatch    `bun:"update_by"`
	IsDryRun          bool           `bun:"is_dry_run"`
	CountryForNumbers string         `bun:"country"`
	RowCount          int            `bun:"row_count"`
	DoneCount         int            `bun:"done_count"`
	CreatedCount      int            `bun:"created_count"`
	UpdatedCount      int            `bun:"updated_count"`
	UnchangedCount    int            `bun:"unchanged_count"`
	FailedCount       int            `bun:"failed_count"`
	Problem           *string        `bun:"problem"`
	FailedKey         *string        `bun:"failed_key"`
	HasFailedFile     bool           `bun:"has_failed_file"`
	CreatedByID       id.ID          `bun:"created_by,type:uuid,nullzero"`
	CreatedByKeyID    id.ID          `bun:"created_by_key,type:uuid,nullzero"`
	ToldAt            *time.Time     `bun:"told_at"`
	EndedAt           *time.Time     `bun:"ended_at"`
	ExpiresAt         time.Time      `bun:"expires_at"`
	Version           int            `bun:"version"`
	CreatedAt         time.Time      `bun:"created_at"`
	UpdatedAt         time.Time      `bun:"updated_at"`
}

// IsNode marks the type as one with an id (GraphQL interface Node).
func (*Import) IsNode() {}

// ImportRow is what became of a row of a file.
type ImportRow struct {
	bun.BaseModel `bun:"table:contact_import_row,alias:contact_import_row"`

	OrganizationID id.ID        `bun:"organization_id,pk,type:uuid"`
	ImportID       id.ID        `bun:"import_id,pk,type:uuid"`
	Line           int          `bun:"line,pk"`
	Status         UpsertStatus `bun:"status"`
	SubjectID      id.ID        `bun:"subject_id,type:uuid,nullzero"`
	Code           *errs.Code   `bun:"code"`
	Message        *string      `bun:"message"`
	Field          []string     `bun:"field,array"`
	Cells          []string     `bun:"cells,array"`
	CreatedAt      time.Time    `bun:"created_at"`
}

// ImportPreview is the beginning of a file and what it seems to be.
type ImportPreview struct {
	Encoding  sheet.Encoding
	Separator string
	Columns   []*PreviewColumn
	Rows      []*PreviewRow
	RowCount  int
	Warnings  []string
}

// PreviewColumn is a column of a file and what it seems to hold.
type PreviewColumn struct {
	Column       int
	Header       string
	ContactField *ImportField
	RecordField  *RecordImportField
}

// PreviewRow is a row of a file.
type PreviewRow struct {
	Line  int
	Cells []string
}
