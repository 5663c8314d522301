"""The columns of a FOCUS export, and of the list of calls without a charge that goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from promptspan_server.pricing.meters import METER_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

SPEC: Final = "1.2"
"""Of FOCUS, the FinOps Open Cost and Usage Specification."""

COLUMNS: Final[Mapping[str, str]] = {
    "BilledCost": "money",
    "BillingAccountId": "text",
    "BillingAccountName": "text",
    "BillingCurrency": "text",
    "BillingPeriodEnd": "time",
    "BillingPeriodStart": "time",
    "ChargeCategory": "text",
    "ChargeClass": "text",
    "ChargeDescription": "text",
    "ChargeFrequency": "text",
    "ChargePeriodEnd": "time",
    "ChargePeriodStart": "time",
    "CommitmentDiscountStatus": "text",
    "ConsumedQuantity": "quantity",
    "ConsumedUnit": "text",
    "ContractedCost": "money",
    "ContractedUnitPrice": "price",
    "EffectiveCost": "money",
    "InvoiceId": "text",
    "InvoiceIssuerName": "text",
    "ListCost": "money",
    "ListUnitPrice": "price",
    "PricingCategory": "text",
    "PricingCurrency": "text",
    "PricingCurrencyContractedUnitPrice": "price",
    "PricingCurrencyEffectiveCost": "money",
    "PricingCurrencyListUnitPrice": "price",
    "PricingQuantity": "quantity",
    "PricingUnit": "text",
    "ProviderName": "text",
    "PublisherName": "text",
    "ServiceCategory": "text",
    "ServiceName": "text",
    "ServiceSubcategory": "text",
    "SkuId": "text",
    "SkuMeter": "text",
    "SkuPriceDetails": "text",
    "SkuPriceId": "text",
    "SubAccountId": "text",
    "SubAccountName": "text",
    "Tags": "text",
    "x_CostBasis": "text",
    "x_FxRate": "price",
    "x_PriceBookVersion": "text",
    "x_PromptName": "text",
    "x_PromptVersion": "text",
    "x_RateId": "text",
    "x_ReportingCost": "money",
    "x_ReportingCurrency": "text",
    "x_Requests": "count",
    "x_Revision": "count",
}
"""Name and kind of every column, in order: of money, prices and quantities every digit counts."""

UNCHARGED_COLUMNS: Final[Mapping[str, str]] = {
    "ChargePeriodStart": "time",
    "ProviderName": "text",
    "Model": "text",
    "Reason": "text",
    "Requests": "count",
    **{f"{''.join(part.title() for part in name.split('_'))}Tokens": "count" for name in METER_NAMES},
    "PromptName": "text",
    "PromptVersion": "text",
    "Tags": "text",
}
