-- What came after contacts could be merged and deleted, and links to them.

CALL links_to_contact('follow_up');
CALL links_to_contact('transcript');
CALL links_to_record('follow_up');
CALL links_to_record('transcript');
