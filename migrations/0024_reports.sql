-- Twilio's log names legs by their SIDs: what they cost is written down by it, and ours is set beside it.
CREATE INDEX leg_by_sid ON call_leg (organization_id, twilio_sid) WHERE twilio_sid IS NOT NULL;
