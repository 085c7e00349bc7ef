"""Why an indicator changed or varies: what each part adds."""
